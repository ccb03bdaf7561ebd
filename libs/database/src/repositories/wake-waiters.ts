import type { Transaction } from '../data-source.js';
import { updateRows } from '../update-rows.js';
import { wakeRun } from './outbox.js';

/** What a workflow is woken under whose lanes wait for targets to be due. */
export const TARGETS_WAKE = '#targets';

/**
 * Makes targets due that wait for assets which are no longer needed here, and wakes their runs; the first in the line of each asset, as
 * the others would only be sent back. It is a hint: who misses it looks again by himself. `assetIds` null: all that the run, or one below
 * it, has held.
 */
export async function wakeAssetWaiters(
  transaction: Transaction,
  runId: string,
  assetIds: readonly string[] | null,
): Promise<void> {
  const due = await updateRows<{ run_id: string }>(
    transaction,
    `WITH first AS (
       SELECT DISTINCT ON (w.asset_id) w.asset_id, w.run_id
       FROM asset_lock_wait w JOIN run_target t ON t.run_id = w.run_id AND t.asset_id = w.asset_id AND t.state IN ('pending', 'running')
       WHERE w.run_id <> $1 AND CASE WHEN $2::uuid[] IS NOT NULL THEN w.asset_id = ANY ($2)
         ELSE EXISTS (SELECT 1 FROM asset_lock l WHERE l.asset_id = w.asset_id AND (l.holders @> ARRAY[$1::uuid] OR l.roots @> ARRAY[$1::uuid])) END
       ORDER BY w.asset_id, w.ticket),
     -- Whoever has the row is looking at it now.
     late AS (
       SELECT t.run_id, t.asset_id FROM run_target t JOIN first USING (run_id, asset_id)
       WHERE t.lane IS NULL AND t.due_at > clock_timestamp() FOR UPDATE OF t SKIP LOCKED)
     UPDATE run_target t SET due_at = clock_timestamp() FROM late
     WHERE t.run_id = late.run_id AND t.asset_id = late.asset_id RETURNING t.run_id`,
    [runId, assetIds],
  );
  for (const waiting of new Set(due.map((row) => row.run_id))) {
    if (!(await wasJustWoken(transaction, waiting))) await wakeRun(transaction, waiting, TARGETS_WAKE);
  }
}

/** A run whose assets become free one by one has not to be told of each of them. */
async function wasJustWoken(transaction: Transaction, runId: string): Promise<boolean> {
  const rows: unknown[] = await transaction.query(
    `SELECT 1 FROM outbox o JOIN run r ON r.workflow_id = o.subject
     WHERE r.id = $1 AND o.kind = 'wake-run' AND o.payload->>'path' = $2
       AND (o.sent_at IS NULL OR o.created_at > clock_timestamp() - interval '1 second') LIMIT 1`,
    [runId, TARGETS_WAKE],
  );
  return rows.length > 0;
}
