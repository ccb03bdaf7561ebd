import type { Transaction } from '../data-source.js';

const DAY_MS = 86_400_000;
/** So long it is known what was installed: a run that is to be undone, or taken up again, is so within this, or knows that it cannot be. */
export const PATCHES_KEPT_MS = 90 * DAY_MS;

/** What may undo something: runs that are open, those that they take up, whose steps they undo as their own, and what all of these called. */
const keptRuns = `WITH RECURSIVE kept (id) AS (
       SELECT id FROM run WHERE ended_at IS NULL
       UNION SELECT more.id FROM kept k CROSS JOIN LATERAL (
         SELECT r.continues AS id FROM run r WHERE r.id = k.id AND r.continued_how = 'resume' AND r.continues IS NOT NULL
         UNION ALL SELECT c.id FROM run c WHERE c.parent_run_id = k.id) AS more)`;

/**
 * Forgets installations that began before a moment. The latest of an asset stays, since reports tell of it, as does what was installed
 * since the asset's last boot, unless it began before `atLatest`; and those that an open run may undo. Gives how many.
 */
export async function forgetPatchInstalls(
  transaction: Transaction,
  { before, atLatest, limit }: { readonly before: Date; readonly atLatest: Date; readonly limit: number },
): Promise<number> {
  const rows: unknown[] = await transaction.query(
    `${keptRuns}, old AS (
       SELECT i.token FROM patch_install i LEFT JOIN patch_scan s ON s.asset_id = i.asset_id
       WHERE i.started_at < $1 AND NOT EXISTS (SELECT 1 FROM kept WHERE kept.id = i.run_id)
         AND (i.started_at < $2 OR s.booted_at IS NULL OR COALESCE(i.ended_at, i.started_at) <= s.booted_at)
         AND EXISTS (SELECT 1 FROM patch_install later WHERE later.asset_id = i.asset_id AND later.started_at > i.started_at)
       ORDER BY i.started_at LIMIT $3
     ), gone AS (DELETE FROM patch_install i USING old WHERE i.token = old.token RETURNING 1)
     SELECT 1 FROM gone`,
    [before, atLatest, limit],
  );
  return rows.length;
}

/** Forgets what attempts kept before a moment, but what an open run may undo by. Gives how many. */
export async function forgetAttemptMemos(transaction: Transaction, before: Date, limit: number): Promise<number> {
  const rows: unknown[] = await transaction.query(
    `${keptRuns}, old AS (
       SELECT m.token FROM attempt_memo m
       WHERE m.kept_at < $1 AND NOT EXISTS (SELECT 1 FROM kept WHERE kept.id = m.run_id) ORDER BY m.kept_at LIMIT $2
     ), gone AS (DELETE FROM attempt_memo m USING old WHERE m.token = old.token RETURNING 1)
     SELECT 1 FROM gone`,
    [before, limit],
  );
  return rows.length;
}

/** Forgets tested sets that were last made before a moment. Gives how many. */
export async function forgetTestedSets(transaction: Transaction, before: Date, limit: number): Promise<number> {
  const rows: unknown[] = await transaction.query(
    `WITH old AS (SELECT space, digest FROM patch_tested_set WHERE kept_at < $1 ORDER BY kept_at LIMIT $2),
       gone AS (DELETE FROM patch_tested_set t USING old WHERE t.space = old.space AND t.digest = old.digest RETURNING 1)
     SELECT 1 FROM gone`,
    [before, limit],
  );
  return rows.length;
}
