import {
  claimTargets,
  journalStarted,
  readLogged,
  readTargetAssets,
  type AttemptStart,
  type ClaimedTarget,
  type ClaimRequest,
  type LockedRun,
  type Transaction,
} from '@fettle/database';
import { journaledEffect, placeOf, prepareAttempt } from './execute-attempt.js';
import type { Attempt, Written } from './lane-turn.js';
import type { LoadedRun } from './load-run.js';

export interface AttemptClaim {
  readonly loaded: LoadedRun;
  readonly needsFacts: boolean;
  readonly token: (target: ClaimedTarget, stepId: string) => string;
}

const nothingLogged = { stdout: 0, stderr: 0 };

/** Claims what is due, decides what each attempt will do, and journals that before anything is dispatched. */
export async function claimAttempts(
  transaction: Transaction,
  run: LockedRun,
  request: ClaimRequest,
  { loaded, needsFacts, token }: AttemptClaim,
): Promise<Written> {
  const claim = await claimTargets(transaction, run, request);
  if (claim.targets.length === 0) return { claim, attempts: [] };
  const ids = claim.targets.map((target) => target.assetId);
  const assets = await readTargetAssets(transaction, ids, { facts: needsFacts });
  const prepared = claim.targets.map((target) => {
    const step = loaded.targetSteps[target.stepIndex]!;
    const compiled = loaded.compiledSteps[target.stepIndex]!;
    const subject = { run: loaded, target, step, compiled, asset: assets.get(target.assetId) };
    return { ...subject, prepared: prepareAttempt(subject), token: token(target, step.id) };
  });
  const starts = prepared.map(startOf);
  const started = await journalStarted(transaction, run, request, starts);
  const again = starts.filter(({ isParked }) => isParked);
  const logged = await readLogged(transaction, run.id, again);
  const attempts = prepared.map((attempt) => ({
    ...attempt,
    started: started.get(attempt.target.assetId)!,
    logged: logged.get(attempt.target.assetId) ?? nothingLogged,
  }));
  return { claim, attempts };
}

function startOf({ target, step, token, prepared }: Omit<Attempt, 'started' | 'logged'>): AttemptStart {
  return {
    assetId: target.assetId,
    step: step.id,
    generation: target.generation,
    token,
    effect: journaledEffect(prepared),
    detached: prepared.kind === 'execute' && prepared.isDetached,
    place: placeOf(prepared),
    isParked: target.isParked,
  };
}
