import { FettleError, type Effect, type StepState } from '@fettle/contracts';
import { repeatableEffects, type StoredError } from '@fettle/database';

/** How a thrown error ends an attempt. */
export interface Judgement {
  readonly state: Exclude<StepState, 'started' | 'succeeded' | 'skipped'>;
  readonly error: StoredError;
}

/** The host was not reached, or ran nothing, where the error says so with `mayHaveStarted: false`. */
const unreachableCodes = new Set([
  'host-unreachable',
  'jump-host-failed',
  'authentication-failed',
  'session-refused',
  'connection-limit',
  'connection-lost',
  'remote-shell-unusable',
]);

const MAX_MESSAGE_CHARACTERS = 2000;

/** Replaces secrets in a text. */
export type Mask = (text: string) => string;

const unmasked: Mask = (text) => text;

/**
 * Messages may quote a host: secrets are masked before the text is cut (half of one would pass the mask), and what Postgres
 * cannot store (NUL, half a surrogate pair) becomes U+FFFD.
 */
function storable(text: string, mask: Mask): string {
  return mask(text)
    .slice(0, MAX_MESSAGE_CHARACTERS)
    .replaceAll('\0', '\uFFFD')
    .replace(/\p{Surrogate}/gu, '\uFFFD');
}

export function storedError(error: unknown, mask: Mask = unmasked): StoredError {
  if (error instanceof FettleError) return maskedError(error, mask);
  return { code: 'internal-error', message: storable(error instanceof Error ? error.message : String(error), mask) };
}

export function maskedError({ code, message, remedy, effectDone }: StoredError, mask: Mask): StoredError {
  return {
    code,
    message: storable(message, mask),
    ...(remedy === undefined ? {} : { remedy: storable(remedy, mask) }),
    ...(effectDone === undefined ? {} : { effectDone }),
  };
}

/**
 * Turns an error into the state of an attempt. What may have happened and must not happen twice is `unknown`, unless the remote
 * command is confirmed to have been stopped by its own time limit or by a cancel. `dispatched`: the action had been called, so
 * that only an error that says otherwise (`mayHaveStarted: false`) rules an effect out.
 */
export function judgeError(error: unknown, effect: Effect, dispatched: boolean, mask: Mask = unmasked): Judgement {
  const stored = storedError(error, mask);
  const detail = error instanceof FettleError ? (error.detail ?? {}) : {};
  const mayHaveStarted = dispatched && detail['mayHaveStarted'] !== false;
  const stoppedForCertain = detail['confirmed'] === true;
  const repeatable = repeatableEffects.has(effect);
  if (stored.code === 'host-key-mismatch') return { state: 'quarantined', error: stored };
  const uncertain = mayHaveStarted && !repeatable && !stoppedForCertain;
  if (stored.code === 'cancelled') {
    if (uncertain) return { state: 'unknown', error: { ...stored, code: 'cancel-unconfirmed' } };
    return { state: 'cancelled', error: stored };
  }
  if (!mayHaveStarted && unreachableCodes.has(stored.code)) return { state: 'unreachable', error: stored };
  return { state: uncertain ? 'unknown' : 'failed', error: stored };
}
