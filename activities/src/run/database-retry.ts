import { setTimeout as sleep } from 'node:timers/promises';
import { FettleError } from '@fettle/contracts';
import { ApplicationFailure } from '@temporalio/common';

/** A database that restarts is back within this; after it, Temporal repeats the whole activity. */
export const DATABASE_PATIENCE_MS = 120_000;

/** SQLSTATE classes that a second attempt cannot mend: data, constraint, syntax and limit errors (PostgreSQL, appendix A). */
const lastingClasses = new Set(['22', '23', '25', '2B', '3D', '3F', '42', '44', '54']);

/** Whether an error comes from a lost or unwilling database rather than from what was asked of it. */
export function isPassing(error: unknown): boolean {
  if (
    error instanceof FettleError ||
    error instanceof ApplicationFailure ||
    error instanceof RangeError ||
    error instanceof TypeError
  ) {
    return false;
  }
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
  return !(code.length === 5 && lastingClasses.has(code.slice(0, 2)));
}

/** Repeats database work while the database is away: what a worker knows of effects on hosts must not be lost with it. */
export async function withDatabasePatience<Result>(
  work: (attempt: number) => Promise<Result>,
  onWait: (error: unknown) => void = () => undefined,
  patienceMs: number = DATABASE_PATIENCE_MS,
): Promise<Result> {
  const giveUpAtMs = Date.now() + patienceMs;
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await work(attempt);
    } catch (error) {
      if (!isPassing(error) || Date.now() > giveUpAtMs) throw error;
      onWait(error);
      await sleep(Math.min(2000, 100 * 2 ** Math.min(attempt, 5)));
    }
  }
}
