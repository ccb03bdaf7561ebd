import { durationMs, FettleError, type CheckResult } from '@fettle/contracts';
import type { TargetAsset } from '@fettle/database';
import type { PlannedAttempt } from '@fettle/runbook/source';
import { findAction } from '../actions.js';
import { judgeError } from '../run/judge-error.js';
import { askProbe } from '../run/probe-lost.js';
import type { Secrets } from '../run/secrets.js';
import type { WorkerServices } from '../run/services.js';
import { endpointOf } from '../run/target-connection.js';

/** A step on a target that is to be checked, with its place in the plan. */
export interface CheckItem {
  readonly position: number;
  readonly planned: PlannedAttempt;
}

/** What was found of it. */
export interface Checked {
  readonly result: CheckResult;
  readonly summary: string;
  readonly diff: string | null;
}

const say = (result: CheckResult, summary: string): Checked => ({ result, summary, diff: null });

/** What can be told without asking anybody; null: the target's probe has to be asked. */
export function checkedByItself({ outcome, uses, target, input }: PlannedAttempt): Checked | null {
  if (outcome.outcome !== 'run' && outcome.outcome !== 'unknown') return say('cannot-tell', 'it is not carried out');
  if (outcome.knownAfter.length > 0) return say('cannot-tell', `known after ${outcome.knownAfter.join(', ')}`);
  if (outcome.outcome === 'unknown') return say('cannot-tell', 'its input is known later');
  if (outcome.effect === 'read-only') return say('no-change', 'it only reads');
  const action = findAction(uses);
  if (target === null || action?.scope !== 'target') return say('cannot-tell', `${uses} has no probe`);
  const { contract } = action;
  if (contract.probe === null) return say('cannot-tell', `${uses} has no probe`);
  if (contract.probe(input) === null) return say('cannot-tell', 'the step has no probe; give it one with "probe"');
  return null;
}

export interface CheckContext {
  readonly services: WorkerServices;
  readonly secrets: Secrets;
  /** Credentials whose values are masked in whatever is found. */
  readonly declaredSecrets: readonly string[];
  readonly signal: AbortSignal;
}

/** Asks the probe of one step on one target. Nothing but a probe is ever called from here, so nothing of the step is carried out. */
export async function checkOnTarget(
  { services, secrets, declaredSecrets, signal }: CheckContext,
  { uses, input, outcome, timeout }: PlannedAttempt,
  asset: TargetAsset | undefined,
): Promise<Checked> {
  if (asset === undefined) return say('cannot-tell', 'the asset is no longer there');
  if (asset.quarantineReason !== null) return say('unreachable', `it is quarantined: ${asset.quarantineReason}`);
  const action = findAction(uses);
  if (action?.scope !== 'target' || outcome.outcome !== 'run') return say('cannot-tell', `${uses} has no probe`);
  const own = secrets.forAttempt();
  try {
    const prepared = {
      kind: 'execute' as const,
      action,
      input,
      effect: outcome.effect,
      endpoint: endpointOf(asset),
      timeoutMs: timeout === undefined ? action.contract.defaultTimeoutMs : durationMs(timeout),
      isDetached: false,
    };
    const found = await askProbe(services, { asset, prepared, declaredSecrets }, own, {
      signal,
      wantsDiff: true,
      lostToken: null,
    });
    if (found === null) return say('cannot-tell', 'the step has no probe');
    return { result: resultOf[found.state], summary: found.summary, diff: found.diff };
  } catch (error) {
    // A probe only reads: what it failed with is told as for a step that does.
    const { state, error: stored } = judgeError(error, 'read-only', true, own.mask);
    if (!(error instanceof FettleError)) {
      services.logger.warn({ reason: stored.message, asset: asset.name }, 'a probe failed in an unexpected way');
    }
    return say(state === 'unreachable' || state === 'quarantined' ? 'unreachable' : 'cannot-tell', stored.message);
  }
}

const resultOf = {
  present: 'no-change',
  absent: 'would-change',
  differs: 'would-change',
  unclear: 'cannot-tell',
} as const satisfies Record<string, CheckResult>;
