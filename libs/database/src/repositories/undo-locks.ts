import type { Transaction } from '../data-source.js';
import { updateRows } from '../update-rows.js';
import { lockAssets, type AssetLockPolicy } from './asset-locks.js';
import type { LockedRun } from './run-entries.js';
import type { ClaimedTarget, LaneClaim } from './run-lanes.js';

/**
 * Takes the lock of an asset on which something is to be undone, in the transaction that journals its *started*, which keeps it. As a
 * rule the run has it since it did what is undone now. False: another run changes the asset.
 */
export async function lockForUndo(
  transaction: Transaction,
  run: LockedRun,
  claim: LaneClaim & AssetLockPolicy,
  target: ClaimedTarget,
): Promise<boolean> {
  // Whoever is about to take it over, because this run seemed to need it no more, sees by the time that it does.
  const own = await updateRows(
    transaction,
    `UPDATE asset_lock SET taken_at = clock_timestamp() WHERE asset_id = $2 AND holders @> ARRAY[$1::uuid] RETURNING asset_id`,
    [claim.runId, target.assetId],
  );
  if (own.length > 0) return true;
  const held = await lockAssets(transaction, run, { ...claim, wave: 1, reach: 'asset', targets: [target] });
  return held.has(target.assetId);
}
