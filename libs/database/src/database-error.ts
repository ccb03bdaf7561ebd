import { FettleError } from '@fettle/contracts';
import { QueryFailedError } from 'typeorm';

/** SQLSTATE codes (PostgreSQL manual, appendix A) that mean something to an operation. */
const uniqueViolation = '23505';
const foreignKeyViolation = '23503';
/** Two transactions met; the loser may try again from its start. */
const retryable = new Set(['40001', '40P01']);
/** Text that Postgres cannot store or read as the column's type: the fault of who sent it. */
const unreadableValue = new Set(['22021', '22P02', '22P05', '22003', '22007', '22008', '22009']);
const connectionCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ETIMEDOUT',
  'EPIPE',
  'ENOENT',
  'EHOSTUNREACH',
  'ENOTFOUND',
]);

interface DriverError {
  readonly code: string | undefined;
  readonly constraint: string | undefined;
}

function driverError(error: unknown): DriverError | null {
  const source: unknown = error instanceof QueryFailedError ? error.driverError : error;
  if (!(source instanceof Error)) return null;
  const code = 'code' in source && typeof source.code === 'string' ? source.code : undefined;
  const constraint = 'constraint' in source && typeof source.constraint === 'string' ? source.constraint : undefined;
  return { code, constraint };
}

/** True for a unique violation, of the named constraint or index where one is given. */
export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  const found = driverError(error);
  return found?.code === uniqueViolation && (constraint === undefined || found.constraint === constraint);
}

export function isForeignKeyViolation(error: unknown, constraint?: string): boolean {
  const found = driverError(error);
  return found?.code === foreignKeyViolation && (constraint === undefined || found.constraint === constraint);
}

/** True where the same transaction may succeed when it is tried again. */
export function isRetryable(error: unknown): boolean {
  return retryable.has(driverError(error)?.code ?? '');
}

/**
 * What an error of the database means to a caller: a `FettleError` with code `already-exists`, `not-found`, `conflict`,
 * `invalid-request` or `unavailable`; every other error comes back as it is.
 */
export function fromDatabaseError(error: unknown): unknown {
  if (error instanceof FettleError) return error;
  const found = driverError(error);
  if (!found) return error;
  const { code = '', constraint } = found;
  const detail = constraint === undefined ? {} : { constraint };
  if (code === uniqueViolation) {
    return new FettleError({ code: 'already-exists', message: 'This already exists.', detail, cause: error });
  }
  if (code === foreignKeyViolation) {
    const message = 'The request names something that does not exist, or removes something that is still in use.';
    return new FettleError({ code: 'conflict', message, detail, cause: error });
  }
  if (retryable.has(code)) {
    const message = 'Another change to the same object came in between.';
    return new FettleError({ code: 'conflict', message, remedy: 'Try again.', cause: error });
  }
  if (unreadableValue.has(code)) {
    const message = 'The request holds a value that cannot be stored, such as a character without a code point.';
    return new FettleError({ code: 'invalid-request', message, cause: error });
  }
  if (isConnectionError(error, code)) {
    const message = 'The database cannot be reached.';
    return new FettleError({ code: 'unavailable', message, remedy: 'Try again in a few seconds.', cause: error });
  }
  return error;
}

function isConnectionError(error: unknown, code: string): boolean {
  // Classes 08 (connection), 53 (insufficient resources) and 57P (shutdown); pg itself reports a lost socket only by its text.
  if (/^(08|53|57P)/.test(code) || connectionCodes.has(code)) return true;
  return (
    error instanceof Error &&
    /Connection terminated|timeout exceeded when trying to connect|Client was closed/.test(error.message)
  );
}
