import {
  finishAttempts,
  notifyRun,
  readTargetAssets,
  releaseClaims,
  type AttemptEnd,
  type ClaimedTarget,
  type LaneClaim,
} from '@fettle/database';
import { prepareAttempt } from './execute-attempt.js';
import type { LoadedRun } from './load-run.js';
import type { WorkerServices } from './services.js';

/** Whether a step reads facts of its target, which are otherwise left in the database. */
export function readsFacts(run: LoadedRun): boolean {
  return JSON.stringify(run.targetSteps).includes('facts');
}

/**
 * Settles what a lost worker left claimed: a step that reads or can be repeated is executed again under the same token; one
 * that may have changed something is `unknown`, and a person decides.
 */
export async function recoverOrphans(
  services: WorkerServices,
  run: LoadedRun,
  claim: LaneClaim,
  orphans: readonly ClaimedTarget[],
): Promise<void> {
  if (orphans.length === 0) return;
  const { dataSource } = services;
  const ids = orphans.map((orphan) => orphan.assetId);
  const assets = await readTargetAssets(dataSource.manager, ids, { facts: readsFacts(run) });
  const repeatable: string[] = [];
  const ends: AttemptEnd[] = [];
  for (const target of orphans) {
    const step = run.targetSteps[target.stepIndex]!;
    const prepared = prepareAttempt({
      run,
      target,
      step,
      compiled: run.compiledSteps[target.stepIndex]!,
      asset: assets.get(target.assetId),
    });
    if (prepared.kind !== 'execute' || prepared.effect === 'read-only' || prepared.effect === 'idempotent') {
      repeatable.push(target.assetId);
      continue;
    }
    ends.push({
      assetId: target.assetId,
      step: step.id,
      generation: target.generation,
      state: 'unknown',
      exitCode: null,
      error: {
        code: 'effect-uncertain',
        message: `The worker was lost while step "${step.id}" was in flight on ${target.assetName}; it may or may not have happened.`,
        remedy: 'Look at the host, then decide by hand.',
      },
      output: null,
      next: { kind: 'end', state: 'unknown' },
    });
  }
  await dataSource.transaction(async (transaction) => {
    if (ends.length > 0) await finishAttempts(transaction, claim, ends, []);
    await releaseClaims(transaction, claim, repeatable);
    await notifyRun(transaction, claim.runId);
  });
}
