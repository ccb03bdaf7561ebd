import type { Rollout } from '@fettle/contracts';
import { listTargetIds, readTargetAssets, saveRollout, type Transaction } from '@fettle/database';
import { references } from '@fettle/expression';
import { compareTargets, compileOrder, failureLimit, orderKey, waveEnds, type OrderedTarget } from '@fettle/runbook';

/** Assets whose facts are in memory at a time. */
const PAGE = 1000;

/**
 * Gives the targets of a new run their waves and their order, and the run its limits; all of it is fixed from here on.
 * @throws FettleError `invalid-expression` for an order that `validate` would have refused
 */
export async function setRollout(
  transaction: Transaction,
  runId: string,
  rollout: Rollout,
  targetCount: number,
): Promise<void> {
  const { strategy, waves, maxFailures, strict, orderBy } = rollout;
  const isPlain = [strategy, waves, maxFailures, strict, orderBy].every((value) => value === undefined);
  if (isPlain) return;
  const limits = {
    strategy: strategy ?? 'linear',
    maxFailures: failureLimit(maxFailures, targetCount),
    isStrict: strict ?? false,
    waveEnds: waves === undefined ? null : waveEnds(waves, targetCount),
  };
  await saveRollout(
    transaction,
    runId,
    limits,
    orderBy === undefined ? null : await order(transaction, runId, orderBy),
  );
}

/** Ids of all targets in the order in which they are to be dispatched. */
async function order(transaction: Transaction, runId: string, source: string): Promise<readonly string[]> {
  const expression = compileOrder(source);
  const facts = references(expression).some((path) => path === 'asset' || path.startsWith('asset.facts'));
  const targets: (OrderedTarget & { readonly id: string })[] = [];
  for (let after: string | null = null; ;) {
    const ids: string[] = await listTargetIds(transaction, runId, after, PAGE);
    for (const asset of (await readTargetAssets(transaction, ids, { facts })).values()) {
      const key = orderKey(expression, { ...asset, quarantined: asset.quarantineReason !== null });
      targets.push({ id: asset.id, name: asset.name, key });
    }
    if (ids.length < PAGE) break;
    after = ids.at(-1)!;
  }
  return targets.sort(compareTargets).map((target) => target.id);
}
