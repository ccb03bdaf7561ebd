import {
  notFoundError,
  type AssetLockWait,
  type CapacityOfKey,
  type Page,
  type PageQuery,
  type RunCapacity,
} from '@fettle/contracts';
import {
  findCapacityKey,
  listCapacityKeys,
  listCapacityParts,
  listAssetWaits,
  listRunCapacity,
  type CapacityKeyRow,
  type CapacityPartRow,
  type TargetRow,
  type Transaction,
} from '@fettle/database';
import { decodeCursor, pageFrom } from './cursor.js';

/** Keys of the space that have a limit or are in use, with who holds and who waits. */
export async function listCapacity(transaction: Transaction, query: PageQuery): Promise<Page<CapacityOfKey>> {
  const { space, limit } = query;
  const after = decodeCursor(query.after, ['string']);
  const rows = await listCapacityKeys(transaction, { space, after: after?.[0] ?? null, limit: limit + 1 });
  const keys = rows.slice(0, limit).map((row) => row.key);
  const parts = await listCapacityParts(transaction, space, keys);
  return pageFrom(
    rows,
    limit,
    (row) => viewOf(space, row, parts),
    (row) => [row.key],
  );
}

/** @throws FettleError `not-found` for a key that nobody uses and no document names. */
export async function getCapacity(
  transaction: Transaction,
  { space, key }: { readonly space: string; readonly key: string },
): Promise<CapacityOfKey> {
  const row = await findCapacityKey(transaction, space, key);
  if (row) return viewOf(space, row, await listCapacityParts(transaction, space, [key]));
  throw notFoundError('capacity', key, { space, remedy: 'See `fettle capacity list`; a key that nobody uses has 1.' });
}

function viewOf(space: string, row: CapacityKeyRow, parts: readonly CapacityPartRow[]): CapacityOfKey {
  const own = parts.filter((part) => part.key === row.key);
  const holders = own.filter((part) => part.grantedAt !== null);
  const queue = own.filter((part) => part.grantedAt === null);
  return {
    space,
    ...row,
    used: holders.reduce((sum, part) => sum + part.units, 0),
    holders: holders.map((part) => ({
      ...partOf(part, part.grantedAt ?? part.createdAt),
      keptUntil: part.keptUntil?.toISOString() ?? null,
    })),
    queue: queue.map((part, index) => ({
      ...partOf(part, part.createdAt),
      priority: part.priority,
      position: index + 1,
    })),
  };
}

function partOf({ runId, runbook, path, units }: CapacityPartRow, since: Date) {
  return { runId, runbook, path, units, since: since.toISOString() };
}

/** What a run holds and waits for; absent from most. */
export async function readRunCapacity(transaction: Transaction, runId: string): Promise<RunCapacity[]> {
  const rows = await listRunCapacity(transaction, runId);
  return rows.map(({ path, wants, since, isGranted, place }) => ({
    path,
    state: isGranted ? 'held' : 'queued',
    wants: wants.map((want) => ({ ...want })),
    since: since.toISOString(),
    position: place?.position ?? null,
    waitsFor: (place?.waitsFor ?? []).map((shortage) => ({ ...shortage, holders: [...shortage.holders] })),
  }));
}

/** Why targets of a run wait for their assets, by asset. */
export async function readAssetWaits(
  transaction: Transaction,
  runId: string,
  targets: readonly TargetRow[],
): Promise<ReadonlyMap<string, AssetLockWait>> {
  const open = targets.filter(({ state }) => state === 'pending' || state === 'running').map((one) => one.assetId);
  const rows = open.length === 0 ? [] : await listAssetWaits(transaction, runId, open);
  return new Map(
    rows.map(({ assetId, asset, since, heldBy }) => [
      assetId,
      { asset, since: since.toISOString(), heldBy: heldBy === null ? null : { ...heldBy } },
    ]),
  );
}
