import {
  finishAttempts,
  lockRunForLane,
  notifyRun,
  parkAbandoned,
  releaseClaims,
  repeatableEffects,
  saveLockedRun,
  type AttemptEnd,
  type LaneClaim,
  type Orphan,
} from '@fettle/database';
import type { LoadedRun } from './load-run.js';
import type { WorkerServices } from './services.js';

/**
 * Settles what a lost worker left claimed: a command that runs detached is looked for under its token; a step that reads or can be
 * repeated is executed again under the same token; one that may have changed something is `unknown`, and a person decides.
 */
export async function recoverOrphans(
  services: WorkerServices,
  run: LoadedRun,
  claim: LaneClaim,
  orphans: readonly Orphan[],
): Promise<void> {
  if (orphans.length === 0) return;
  const isRepeatable = (orphan: Orphan): boolean => orphan.detached || repeatableEffects.has(orphan.effect);
  const ends = orphans.filter((orphan) => !isRepeatable(orphan)).map((orphan) => uncertainEnd(run, orphan));
  const repeatable = orphans.filter(isRepeatable).map((orphan) => orphan.assetId);
  await services.dataSource.transaction(async (transaction) => {
    const locked = await lockRunForLane(transaction, claim);
    await finishAttempts(transaction, locked, claim, ends, []);
    await releaseClaims(transaction, claim, repeatable);
    await saveLockedRun(transaction, locked);
    await notifyRun(transaction, claim.runId);
  });
}

/** Lets go what other lanes of a run that ends hold detached: their workers are gone, and this lane is to stop the commands. */
export async function letGoAbandoned(services: WorkerServices, claim: LaneClaim): Promise<void> {
  await services.dataSource.transaction(async (transaction) => {
    await lockRunForLane(transaction, claim);
    await parkAbandoned(transaction, claim.runId);
  });
}

function uncertainEnd(run: LoadedRun, orphan: Orphan): AttemptEnd {
  const step = orphan.step ?? run.targetCodes[orphan.stepIndex]!.path;
  return {
    assetId: orphan.assetId,
    step,
    generation: orphan.generation,
    state: 'unknown',
    exitCode: null,
    error: {
      code: 'effect-uncertain',
      message: `The worker was lost while step "${step}" was in flight on ${orphan.assetName}; it may or may not have happened.`,
      remedy: 'Look at the host, then decide by hand.',
    },
    output: null,
    next: { kind: 'end', state: 'unknown' },
  };
}
