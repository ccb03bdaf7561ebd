import { errorForLog } from '@fettle/contracts';
import type { LoggerService } from '@nestjs/common';
import { pino, type Logger } from 'pino';

/** JSON logs on stderr; also what Nest writes to. Request bodies and headers are never logged: they hold secrets. */
export class ApiLogger implements LoggerService {
  readonly #pino: Logger;

  constructor(level: string) {
    this.#pino = pino(
      { level, base: { process: 'api' }, serializers: { err: (error: unknown) => errorForLog(error) } },
      process.stderr,
    );
  }

  log(message: unknown, context?: unknown): void {
    this.#pino.debug({ context }, String(message));
  }

  info(message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.#pino.info(fields, message);
  }

  warn(message: unknown, fields?: unknown): void {
    this.#pino.warn({ context: fields }, String(message));
  }

  error(message: unknown, ...rest: unknown[]): void {
    this.#pino.error(
      { context: rest },
      message instanceof Error ? (message.stack ?? message.message) : String(message),
    );
  }

  /** An error that nobody foresaw, with the request it happened in. */
  defect(error: unknown, fields: Readonly<Record<string, unknown>>): void {
    this.#pino.error({ ...fields, err: error }, 'unexpected error');
  }
}
