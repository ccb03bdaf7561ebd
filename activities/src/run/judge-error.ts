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

function storedError(error: unknown): StoredError {
  if (error instanceof FettleError)
    return { code: error.code, message: error.message.slice(0, 2000), remedy: error.remedy };
  const message = error instanceof Error ? error.message : String(error);
  return { code: 'internal-error', message: message.slice(0, 2000) };
}

/**
 * Turns an error into the state of an attempt. What may have happened and must not happen twice is `unknown`, unless the
 * remote command is confirmed to have been stopped by its own time limit or by a cancel.
 */
export function judgeError(error: unknown, effect: Effect): Judgement {
  const stored = storedError(error);
  const detail = error instanceof FettleError ? (error.detail ?? {}) : {};
  const mayHaveStarted = detail['mayHaveStarted'] !== false;
  const confirmed = detail['confirmed'] === true;
  const repeatable = effect === 'read-only' || effect === 'idempotent';
  if (stored.code === 'host-key-mismatch') return { state: 'quarantined', error: stored };
  if (stored.code === 'cancelled') {
    const unconfirmed = mayHaveStarted && !confirmed;
    if (unconfirmed && !repeatable) return { state: 'unknown', error: { ...stored, code: 'cancel-unconfirmed' } };
    return { state: 'cancelled', error: stored };
  }
  if (unreachableCodes.has(stored.code)) return { state: 'unreachable', error: stored };
  if (stored.code === 'command-timeout')
    return { state: confirmed || repeatable ? 'failed' : 'unknown', error: stored };
  if (stored.code === 'connection-lost') {
    if (!mayHaveStarted) return { state: 'unreachable', error: stored };
    return { state: repeatable ? 'failed' : 'unknown', error: stored };
  }
  return { state: 'failed', error: stored };
}
