import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { GeneratedRunbook } from './generated-runbooks.js';

/** What the service that control steps call knows of a run: which of its answers fail, and at which call it is to be cancelled. */
interface Served {
  readonly generated: GeneratedRunbook;
  runId: string;
}

/** Answers `/do/RUN.STEP.ITEMS` and `/undo/...` as the fates of the steps say, by the number of the call. */
export class FateService {
  readonly server: Server;
  readonly #calls = new Map<string, number>();
  /** By id of a step, which no two generated runbooks share. */
  readonly #byStep = new Map<string, Served>();

  constructor(cancel: (runId: string) => Promise<void>) {
    this.server = createServer((request, response) => {
      const path = (request.url ?? '').replace(/\?.*/, '');
      const call = (this.#calls.get(path) ?? 0) + 1;
      this.#calls.set(path, call);
      const [, word = '', key = ''] = path.split('/');
      const [runId = '', step = ''] = key.split('.');
      const served = this.#byStep.get(step);
      const fate = served?.generated.fates.get(step);
      const fails = Number((word === 'undo' ? fate?.undoFails : fate?.fails) ?? 0);
      const answer = (): void => {
        response.writeHead(call > fails ? 200 : fate?.isPoll === true ? 503 : 500);
        response.end();
      };
      if (served === undefined || served.generated.cancelAt !== step || word === 'undo') return answer();
      // The call stays open until the worker gives it up.
      void cancel(runId).then(() => setTimeout(answer, 20_000).unref());
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** What people say to the approval of that step. */
  decisionOn(step: string): 'approve' | 'reject' | 'nothing' {
    return this.#byStep.get(step)?.generated.fates.get(step)?.decision ?? 'nothing';
  }

  serve(generated: GeneratedRunbook): void {
    for (const id of generated.fates.keys()) this.#byStep.set(id, { generated, runId: '' });
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
