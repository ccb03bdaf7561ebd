import { FettleError, type Effect, type StepState } from '@fettle/contracts';
import type { StoredError } from '@fettle/database';

/** How a thrown error ends an attempt. */
export interface Judgement {
  readonly state: Exclude<StepState, 'started' | 'succeeded' | 'skipped'>;
  readonly error: StoredError;
}

const unreachableCodes = new Set([
  'host-unreachable',
  'authentication-failed',
  'session-refused',
  'connection-limit',
  'remote-shell-unusable',
]);

const MAX_MESSAGE_CHARACTERS = 2000;

/** Messages may quote a host: what Postgres cannot store (NUL, half a surrogate pair) becomes U+FFFD. */
function storable(text: string): string {
  return text
    .slice(0, MAX_MESSAGE_CHARACTERS)
    .replaceAll('\0', '\uFFFD')
    .replace(/\p{Surrogate}/gu, '\uFFFD');
}

export function storedError(error: unknown): StoredError {
  if (error instanceof FettleError) {
    const { code, message, remedy } = error;
    return { code, message: storable(message), ...(remedy === undefined ? {} : { remedy: storable(remedy) }) };
  }
  return { code: 'internal-error', message: storable(error instanceof Error ? error.message : String(error)) };
}

/**
 * Turns an error into the state of an attempt. What may have happened and must not happen twice is `unknown`, unless the remote
 * command is confirmed to have been stopped by its own time limit or by a cancel. `dispatched`: the action had been called, so
 * that only an error that says otherwise (`mayHaveStarted: false`) rules an effect out.
 */
export function judgeError(error: unknown, effect: Effect, dispatched: boolean): Judgement {
  const stored = storedError(error);
  const detail = error instanceof FettleError ? (error.detail ?? {}) : {};
  const mayHaveStarted = dispatched && detail['mayHaveStarted'] !== false;
  const stoppedForCertain = detail['confirmed'] === true;
  const repeatable = effect === 'read-only' || effect === 'idempotent';
  if (stored.code === 'host-key-mismatch') return { state: 'quarantined', error: stored };
  const uncertain = mayHaveStarted && !repeatable && !stoppedForCertain;
  if (stored.code === 'cancelled') {
    if (uncertain) return { state: 'unknown', error: { ...stored, code: 'cancel-unconfirmed' } };
    return { state: 'cancelled', error: stored };
  }
  if (unreachableCodes.has(stored.code)) return { state: 'unreachable', error: stored };
  if (stored.code === 'connection-lost' && !mayHaveStarted) return { state: 'unreachable', error: stored };
  return { state: uncertain ? 'unknown' : 'failed', error: stored };
}
