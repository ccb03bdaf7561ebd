import { capacityKeySchema, type HeldAsset, type Plan, type PlannedKey, type PlannedWant } from '@fettle/contracts';
import {
  findCapacityKey,
  listAssetHolders,
  listCapacityParts,
  repeatableEffects,
  type CapacityPartRow,
} from '@fettle/database';
import { DEFAULT_LIMIT, mergeWants } from '@fettle/runbook';
import { planSummary } from '@fettle/runbook/source';
import type { OperationContext } from './context.js';

/** Assets that an answer names: enough to say whom to ask. */
const MAX_ASSETS = 20;
/** Holders that a message names. */
const MAX_NAMED = 3;

/**
 * A plan with what would hold its run up now: keys of capacity that are in use, wanted by others or too small for it, and targets
 * that other runs change. Facts of the moment, and no part of the digest.
 */
export async function withConflicts(
  context: OperationContext,
  plan: Plan,
  assetLock: 'exclusive' | 'shared',
): Promise<Plan> {
  const keys = await plannedKeys(context, plan);
  const assets = changesAssets(plan) ? await heldAssets(context, plan, assetLock) : { count: 0, held: [] };
  const conflicts = [
    ...keys.flatMap((key) => {
      const message = shortageText(key);
      return message === null ? [] : [{ key: key.key, message }];
    }),
    ...assets.held.map((one) => ({ key: `asset:${one.asset}`, message: heldText(one) })),
  ];
  return { ...plan, capacity: { ...plan.capacity, conflicts, keys, assets } };
}

/** Whoever only looks, or does what may be done twice, takes no lock. */
function changesAssets(plan: Plan): boolean {
  const { effects } = planSummary(plan);
  return Object.entries(effects).some(([effect, count]) => count > 0 && !isHarmless(effect));
}

function isHarmless(effect: string): boolean {
  return (repeatableEffects as ReadonlySet<string>).has(effect);
}

async function plannedKeys({ transaction }: OperationContext, plan: Plan): Promise<PlannedKey[]> {
  const demand = demandOf(plan.capacity.wants.filter(isKnown));
  const { space } = plan.runbook;
  const parts = demand.size === 0 ? [] : await listCapacityParts(transaction, space, [...demand.keys()]);
  const keys: PlannedKey[] = [];
  for (const [key, units] of demand) {
    const row = await findCapacityKey(transaction, space, key);
    const own = parts.filter((part) => part.key === key);
    const holders = own.filter((part) => part.grantedAt !== null);
    const limit = row?.limit ?? DEFAULT_LIMIT;
    keys.push({
      key,
      limit,
      document: row?.document ?? null,
      units,
      used: holders.reduce((sum, part) => sum + part.units, 0),
      waiting: own.length - holders.length,
      neverFits: units > limit,
      holders: holders.map(holderOf),
    });
  }
  return keys;
}

/** Nobody holds what is known only later, nor what comes to no key. */
function isKnown({ key, knownAfter }: PlannedWant): boolean {
  return knownAfter === undefined && capacityKeySchema.safeParse(key).success;
}

/** Of each key what the run holds for itself and the most that a step takes beside it, sorted by key. */
function demandOf(wants: Plan['capacity']['wants']): ReadonlyMap<string, number> {
  const ofRun = new Map(mergeWants(wants.filter((want) => want.path === '')).map(({ key, units }) => [key, units]));
  const most = new Map<string, number>();
  const paths = new Set(wants.filter((want) => want.path !== '').map((want) => want.path));
  for (const path of paths)
    for (const { key, units } of mergeWants(wants.filter((want) => want.path === path)))
      most.set(key, Math.max(most.get(key) ?? 0, units));
  const all = [...new Set([...ofRun.keys(), ...most.keys()])].sort();
  return new Map(all.map((key) => [key, (ofRun.get(key) ?? 0) + (most.get(key) ?? 0)]));
}

function holderOf(part: CapacityPartRow): PlannedKey['holders'][number] {
  const { runId, runbook, path, units, grantedAt, createdAt, keptUntil } = part;
  const since = (grantedAt ?? createdAt).toISOString();
  return { runId, runbook, path, units, since, keptUntil: keptUntil?.toISOString() ?? null };
}

/** Null: the run would get it at once. */
function shortageText({ limit, units, used, waiting, neverFits, holders }: PlannedKey): string | null {
  if (neverFits) return `would never fit: the run wants ${units}, and the limit is ${limit}`;
  if (used + units <= limit && waiting === 0) return null;
  const named = holders.slice(0, MAX_NAMED).map(({ runId, runbook }) => `${runbook} (${runId})`);
  const more = holders.length > MAX_NAMED ? `, and ${holders.length - MAX_NAMED} more` : '';
  const held = holders.length === 0 ? '' : ` by ${named.join(', ')}${more}`;
  const queue = waiting === 0 ? '' : `, ${waiting} waiting`;
  return `${used} of ${limit} held${held}${queue}; the run wants ${units}`;
}

async function heldAssets(
  { transaction }: OperationContext,
  plan: Plan,
  mode: 'exclusive' | 'shared',
): Promise<{ count: number; held: HeldAsset[] }> {
  const names = new Map(plan.targets.items.map(({ assetId, name }) => [assetId, name]));
  if (names.size === 0) return { count: 0, held: [] };
  const { count, rows } = await listAssetHolders(transaction, [...names.keys()], mode, MAX_ASSETS);
  return {
    count,
    held: rows.map(({ assetId, runId, runbook, since, waiting }) => ({
      asset: names.get(assetId) ?? assetId,
      runId,
      runbook,
      since: since.toISOString(),
      waiting,
    })),
  };
}

function heldText({ runId, runbook, since, waiting }: HeldAsset): string {
  const queue = waiting === 0 ? '' : `; ${waiting} waiting for it`;
  return `changed by ${runbook} (${runId}) since ${since}${queue}`;
}
