import type { Transaction } from '../data-source.js';
import { keepsEnded } from './kept-locks.js';

const open = `('pending', 'running')`;

/** An asset that a run holds the lock of, with those who wait for it. */
export interface AssetHolderRow {
  readonly assetId: string;
  readonly runId: string;
  readonly runbook: string;
  readonly since: Date;
  readonly waiting: number;
}

/**
 * Of these assets those that somebody who came now could not change: another run holds the lock, in a mode that does not go with
 * the one given. Sorted by asset; `count` is of all, `rows` are at most `limit`.
 */
export async function listAssetHolders(
  transaction: Transaction,
  assetIds: readonly string[],
  mode: 'exclusive' | 'shared',
  limit: number,
): Promise<{ readonly count: number; readonly rows: readonly AssetHolderRow[] }> {
  const found: AssetHolderRow[] = await transaction.query(
    `SELECT DISTINCT ON (l.asset_id) l.asset_id AS "assetId", r.id AS "runId", r.runbook, l.taken_at AS since,
       (SELECT count(DISTINCT w.root) FROM asset_lock_wait w
          JOIN run_target t ON t.run_id = w.run_id AND t.asset_id = w.asset_id AND t.state IN ${open}
        WHERE w.asset_id = l.asset_id) AS waiting
     FROM asset_lock l CROSS JOIN unnest(l.holders, l.roots) AS h (run_id, root)
       JOIN run_target t ON t.run_id = h.run_id AND t.asset_id = l.asset_id AND (t.state IN ${open} OR ${keepsEnded('t', 'h.root')})
       JOIN run r ON r.id = h.run_id
     WHERE l.asset_id = ANY ($1) AND NOT (l.mode = 'shared' AND $2 = 'shared')
     ORDER BY l.asset_id, h.run_id`,
    [assetIds, mode],
  );
  const rows = found.slice(0, limit).map((row) => ({ ...row, waiting: Number(row.waiting) }));
  return { count: found.length, rows };
}
