import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What a path answers to its next call; a path that is not scripted answers 200 with its own name. */
export interface ScriptedAnswer {
  readonly status: number;
  readonly body?: string;
  /** Milliseconds before the answer. */
  readonly afterMs?: number;
  /** It comes after this only. */
  readonly after?: Promise<unknown>;
}

/** An HTTP service on the loopback that answers as a test says and remembers who called. */
export class ScriptedService {
  readonly calls: string[] = [];
  readonly #server: Server;
  readonly #script = new Map<string, (call: number) => ScriptedAnswer>();

  private constructor() {
    this.#server = createServer((request, response) => {
      const path = request.url ?? '/';
      this.calls.push(path);
      const call = this.calls.filter((one) => one === path).length;
      const {
        status,
        body = path,
        afterMs = 0,
        after = Promise.resolve(),
      } = this.#script.get(path)?.(call) ?? { status: 200 };
      const answer = (): void => {
        response.writeHead(status, { 'content-type': 'text/plain' });
        response.end(body);
      };
      void after.then(() => setTimeout(answer, afterMs).unref());
    });
  }

  static async start(): Promise<ScriptedService> {
    const service = new ScriptedService();
    await new Promise<void>((resolve) => service.#server.listen(0, '127.0.0.1', resolve));
    return service;
  }

  /** `call` counts the calls of that path from 1. */
  script(path: string, answer: (call: number) => ScriptedAnswer): void {
    this.#script.set(path, answer);
  }

  url(path: string): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}${path}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
