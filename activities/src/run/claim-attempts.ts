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
import type { JsonObject } from '@fettle/runbook';
import { journaledEffect, placeOf, prepareAttempt } from './execute-attempt.js';
import { holdAssets } from './hold-assets.js';
import type { Decided, Written } from './lane-turn.js';
import type { LoadedRun } from './load-run.js';

export interface AttemptClaim {
  readonly loaded: LoadedRun;
  readonly item: JsonObject;
  readonly needsFacts: boolean;
  /** What the journal calls a step. */
  readonly pathOf: (stepIndex: number) => string;
  readonly token: (target: ClaimedTarget, path: string) => string;
}

const nothingLogged = { stdout: 0, stderr: 0 };

/** Claims what is due, decides what each attempt will do, and journals that before anything is dispatched. */
export async function claimAttempts(
  transaction: Transaction,
  run: LockedRun,
  request: ClaimRequest,
  { loaded, item, needsFacts, pathOf, token }: AttemptClaim,
): Promise<Written> {
  const claim = await claimTargets(transaction, run, request);
  if (claim.targets.length === 0) return { claim, attempts: [] };
  const ids = claim.targets.map((target) => target.assetId);
  const assets = await readTargetAssets(transaction, ids, { facts: needsFacts });
  const decided = claim.targets.map((target): Decided => {
    const step = loaded.targetSteps[target.stepIndex]!;
    const compiled = loaded.compiledSteps[target.stepIndex]!;
    const path = pathOf(target.stepIndex);
    const subject = { run: loaded, target, step, path, item, compiled, asset: assets.get(target.assetId) };
    return { ...subject, prepared: prepareAttempt(subject), token: token(target, path) };
  });
  const held = await holdAssets(transaction, run, request, claim, decided);
  const starts = held.attempts.map(startOf);
  const started = await journalStarted(transaction, run, request, starts);
  const logged = await readLogged(
    transaction,
    run.id,
    starts.filter(({ isParked }) => isParked),
  );
  const attempts = held.attempts.map((attempt) => ({
    ...attempt,
    started: started.get(attempt.target.assetId)!,
    logged: logged.get(attempt.target.assetId) ?? nothingLogged,
  }));
  return { claim: held.claim, attempts };
}

function startOf({ target, path, token, prepared }: Decided): AttemptStart {
  return {
    assetId: target.assetId,
    step: path,
    generation: target.generation,
    token,
    effect: journaledEffect(prepared),
    detached: prepared.kind === 'execute' && prepared.isDetached,
    place: placeOf(prepared),
    isParked: target.isParked,
  };
}
