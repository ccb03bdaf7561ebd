import { ApiClient } from '../client/api-client.js';
import { findApi } from '../client/find-api.js';
import { Output, type OutputFormat } from '../output/output.js';
import { EXIT } from './exit-codes.js';
import type { CliHost } from './host.js';

/** Options of every command that talks to the API. */
export interface ApiOptions {
  readonly output: OutputFormat;
  readonly dataDir?: string;
}

export interface SpaceOptions extends ApiOptions {
  readonly space: string;
}

/** One invocation of `fettle`: its process, its output, and the exit code it will end with. */
export class Session {
  readonly output: Output;
  exitCode: number = EXIT.ok;

  constructor(readonly host: CliHost) {
    this.output = new Output(host);
  }

  connect(options: Pick<ApiOptions, 'dataDir'>): ApiClient {
    return new ApiClient(findApi(options.dataDir, this.host.env), this.host.interruption());
  }

  /** Makes a use case the action of a command: what it returns is the exit code. */
  act<Args extends unknown[]>(
    useCase: (session: Session, ...args: Args) => Promise<number>,
  ): (...args: Args) => Promise<void> {
    return async (...args) => {
      this.exitCode = await useCase(this, ...args);
    };
  }

  /** The same for a use case whose libraries take time to load, so that other commands start without them. */
  later<Args extends unknown[]>(
    load: () => Promise<(session: Session, ...args: Args) => Promise<number>>,
  ): (...args: Args) => Promise<void> {
    return this.act(async (session, ...args: Args) => (await load())(session, ...args));
  }
}
