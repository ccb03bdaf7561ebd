import {
  lockAssets,
  postponeTargets,
  readProgress,
  repeatableEffects,
  type AssetLockRequest,
  type ClaimRequest,
  type ClaimResult,
  type LockedRun,
  type Transaction,
} from '@fettle/database';
import { journaledEffect } from './execute-attempt.js';
import type { Decided } from './lane-turn.js';

/** `isLast`: no segment comes after this one. */
type SegmentPlace = ClaimRequest & { readonly isLast?: boolean };

/**
 * Of attempts that were decided, those that may go on: whoever changes an asset holds its lock. The rest goes back, due a little
 * later. Attempts that only look, or that do no harm when done twice, need none.
 */
export async function holdAssets(
  transaction: Transaction,
  run: LockedRun,
  request: SegmentPlace,
  claim: ClaimResult,
  attempts: readonly Decided[],
): Promise<{ readonly claim: ClaimResult; readonly attempts: readonly Decided[] }> {
  // What was begun holds its lock since.
  const changing = attempts.filter(
    ({ target, prepared, isTakenUp }) =>
      (!target.isParked || isTakenUp) && !repeatableEffects.has(journaledEffect(prepared)),
  );
  const first = changing[0];
  if (first === undefined) return { claim, attempts };
  const held = await lockAssets(transaction, run, {
    ...request,
    mode: first.run.assetLock,
    rootRunId: first.run.rootRunId,
    reach: reachOf(run, request, changing),
    targets: changing.map(({ target }) => target),
  });
  const refused = new Set(changing.filter(({ target }) => !held.has(target.assetId)));
  if (refused.size === 0) return { claim, attempts };
  await postponeTargets(
    transaction,
    run,
    [...refused].map(({ target }) => target),
  );
  const { nextDueMs } = await readProgress(transaction, run, request);
  const ids = new Set([...refused].map(({ target }) => target.assetId));
  return {
    claim: {
      ...claim,
      targets: claim.targets.filter((target) => !ids.has(target.assetId)),
      claimedCount: claim.claimedCount - refused.size,
      nextDueMs,
    },
    attempts: attempts.filter((attempt) => !refused.has(attempt)),
  };
}

/**
 * A target goes to its end alone from its last step, and with `free` through the last segment. Everywhere else it waits for others
 * while it holds its asset, and what it waits for must be held by the same run: all of the wave, or of the run where another
 * segment follows. Whoever goes through a `finally` after a cancel waits for nobody.
 */
function reachOf(
  { strategy }: LockedRun,
  { lastStep, isLast, onlyStopped }: SegmentPlace,
  changing: readonly Decided[],
): AssetLockRequest['reach'] {
  if (onlyStopped === true) return 'asset';
  if (isLast !== true) return 'run';
  return strategy === 'free' || changing.every(({ target }) => target.stepIndex === lastStep) ? 'asset' : 'wave';
}
