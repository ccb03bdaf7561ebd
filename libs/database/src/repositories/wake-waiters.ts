import type { Transaction } from '../data-source.js';
import { updateRows } from '../update-rows.js';

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
  for (const waiting of new Set(due.map((row) => row.run_id))) await wakeSoon(transaction, waiting);
}

/** A run is not told more often of assets that become free one by one. */
const BETWEEN_WAKES_MS = 1000;

/** Wakes it now or, where it was just woken, once that is over; what is under way it may have looked past. */
async function wakeSoon(transaction: Transaction, runId: string): Promise<void> {
  await transaction.query(
    `WITH woken AS (
       SELECT o.sent_at IS NULL AND o.next_at > clock_timestamp() AS is_ahead FROM outbox o JOIN run r ON r.workflow_id = o.subject
       WHERE r.id = $1 AND o.kind = 'wake-run' AND o.payload->>'path' = $2
         AND (o.sent_at IS NULL OR o.created_at > clock_timestamp() - $3 * interval '1 millisecond')),
     command AS (
       INSERT INTO outbox (kind, subject, payload, next_at)
       SELECT 'wake-run', workflow_id, jsonb_build_object('path', $2::text),
         clock_timestamp() + CASE WHEN EXISTS (SELECT 1 FROM woken) THEN $3 ELSE 0 END * interval '1 millisecond'
       FROM run WHERE id = $1 AND ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM woken WHERE is_ahead) RETURNING id)
     SELECT pg_notify('fettle_outbox', '') FROM command`,
    [runId, TARGETS_WAKE, BETWEEN_WAKES_MS],
  );
}
