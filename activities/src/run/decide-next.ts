import type { TargetState } from '@fettle/contracts';
import type { AttemptEnd, ClaimedTarget } from '@fettle/database';
import {
  finallyLeft,
  nextAfterFailure,
  nextAfterStop,
  nextAfterSuccess,
  retryDelayMs,
  type TargetCode,
  type TargetNext,
} from '@fettle/runbook';
import type { AttemptOutcome } from './execute-attempt.js';

/** What decides over a target that comes to the end of its segment. */
export interface SegmentEnd {
  /** Index of the segment's last step. */
  readonly lastStep: number;
  /** No segment follows: whoever leaves it has come to its end. */
  readonly isLast: boolean;
  /** Whoever is stopped now goes no further: the time for `finally` is over. Absent: it goes there. */
  readonly onlyFinally?: boolean | undefined;
}

/**
 * Where a target goes after an attempt: on to its next step, into a handler, back for another attempt, or to its end. Only what is
 * known to have ended is tried again; `unknown` never is. Only `failed` is caught by a handler or passed over by `continue`. Whoever is
 * stopped in the middle of a `try` goes to its `finally`.
 */
export function decideNext(
  target: ClaimedTarget,
  code: TargetCode,
  outcome: AttemptOutcome,
  segment: SegmentEnd,
): AttemptEnd['next'] {
  if (outcome.state === 'succeeded' || outcome.state === 'skipped') {
    const next = nextAfterSuccess(code, target.failing);
    return nextOf(target, next, segment, { executed: outcome.state === 'succeeded', isCaught: false });
  }
  const mayRetry = outcome.final !== true && (outcome.state === 'failed' || outcome.state === 'unreachable');
  const delayMs = mayRetry ? retryDelayMs(code.step.retry, target.generation) : null;
  if (delayMs !== null) return { kind: 'retry', delayMs };
  const stop =
    outcome.state === 'cancelled' && segment.onlyFinally !== true ? nextAfterStop(code, target.failing, true) : null;
  if (stop !== null) return { kind: 'advance', stepIndex: stop.index, failing: stop.failing };
  if (outcome.state !== 'failed') return { kind: 'end', state: outcome.state };
  const isCaught = code.step.onError !== 'continue' && code.onFailure !== null;
  return nextOf(target, nextAfterFailure(code, target.failing), segment, { executed: true, isCaught });
}

/** With what of its `finally` a target does not come to that ends so. */
export function tellLeft(
  next: AttemptEnd['next'],
  outcome: Pick<AttemptOutcome, 'state'>,
  code: TargetCode,
  { codes, prefix }: { readonly codes: readonly TargetCode[]; readonly prefix: string | undefined },
): AttemptEnd['next'] {
  const { state } = outcome;
  if (next.kind !== 'end' || state === 'succeeded' || state === 'skipped' || state === 'failed') return next;
  const left = finallyLeft(codes, code, true);
  return left.length === 0 ? next : { ...next, finallyLeft: left.map((path) => `${prefix ?? ''}${path}`) };
}

function nextOf(
  target: ClaimedTarget,
  next: TargetNext,
  { lastStep, isLast }: SegmentEnd,
  { executed, isCaught }: { readonly executed: boolean; readonly isCaught: boolean },
): AttemptEnd['next'] {
  if (next.kind === 'end') return next;
  if (next.index <= lastStep || !isLast) {
    const { index: stepIndex, failing } = next;
    return { kind: 'advance', stepIndex, ...(failing === 0 ? {} : { failing }), ...(isCaught ? { isCaught } : {}) };
  }
  const didSomething = executed || target.error !== null || Object.keys(target.outputs).length > 0;
  const state: TargetState = didSomething ? 'succeeded' : 'skipped';
  return { kind: 'end', state };
}
