import type { Step, TargetState } from '@fettle/contracts';
import type { AttemptEnd, ClaimedTarget } from '@fettle/database';
import { retryDelayMs } from '@fettle/runbook';
import type { AttemptOutcome } from './execute-attempt.js';

/**
 * Where a target goes after an attempt: on to its next step, back for another attempt, or to its end. Only what is known to
 * have ended is tried again; `unknown` never is.
 */
export function decideNext(
  target: ClaimedTarget,
  step: Step,
  outcome: AttemptOutcome,
  targetStepCount: number,
): AttemptEnd['next'] {
  const advance = (executed: boolean): AttemptEnd['next'] => {
    const stepIndex = target.stepIndex + 1;
    if (stepIndex < targetStepCount) return { kind: 'advance', stepIndex };
    const state: TargetState = executed || Object.keys(target.outputs).length > 0 ? 'succeeded' : 'skipped';
    return { kind: 'end', state };
  };
  if (outcome.state === 'succeeded') return advance(true);
  if (outcome.state === 'skipped') return advance(false);
  const mayRetry = outcome.final !== true && (outcome.state === 'failed' || outcome.state === 'unreachable');
  const delayMs = mayRetry ? retryDelayMs(step.retry, target.generation) : null;
  if (delayMs !== null) return { kind: 'retry', delayMs };
  if (outcome.state === 'failed' && step.onError === 'continue') return advance(true);
  return { kind: 'end', state: outcome.state };
}
