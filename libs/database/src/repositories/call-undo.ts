import type { RunState } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import { NIL_ASSET_ID } from './control-steps.js';
import { appendEntries, lockRun, notifyRun, saveLockedRun } from './run-entries.js';
import { repeatableEffects } from './run-lanes.js';
import type { WaitKey } from './run-waits.js';

/** A run that a step called, as whoever undoes it needs it. */
export interface UndoableRun {
  readonly id: string;
  readonly space: string;
  readonly state: RunState;
  readonly wasStarted: boolean;
  /** What may still be undone of it, in the order in which it was begun, as the engine lists it; null: nobody knows. */
  readonly undo: readonly unknown[] | null;
  /** What it did not come to undo itself: paths. */
  readonly failed: readonly string[];
}

/** The run that a step called last, in this run or in one that it takes up; null: it has called none. */
export async function findUndoableRun(transaction: Transaction, call: WaitKey): Promise<UndoableRun | null> {
  const rows: UndoableRun[] = await transaction.query(
    `WITH RECURSIVE line (id, depth) AS (
       SELECT $1::uuid, 0
       UNION ALL SELECT r.continues, line.depth + 1 FROM line JOIN run r ON r.id = line.id
         WHERE r.continued_how = 'resume' AND r.continues IS NOT NULL AND line.depth < 100)
     SELECT c.id, c.space, c.state, c.started_at IS NOT NULL AS "wasStarted", c.undo, coalesce(c.rollback->'failed', '[]') AS failed
     FROM line JOIN run_wait w ON w.run_id = line.id AND w.path = $2 AND w.kind = 'call' JOIN run c ON c.id = w.child_run_id
     ORDER BY line.depth LIMIT 1`,
    [call.runId, call.path],
  );
  return rows[0] ?? null;
}

/** The run that is undone tells who does it, once. */
export async function markUndone(transaction: Transaction, runId: string, by: WaitKey): Promise<void> {
  const run = await lockRun(transaction, runId);
  const begun: unknown[] = await transaction.query(`SELECT 1 FROM run WHERE id = $1 AND undone_at IS NOT NULL`, [
    runId,
  ]);
  if (begun.length > 0) return;
  await transaction.query(`UPDATE run SET undone_at = clock_timestamp() WHERE id = $1`, [runId]);
  await appendEntries(transaction, run, [{ kind: 'undo-requested', data: { runId: by.runId, step: by.path } }]);
  await saveLockedRun(transaction, run);
  await notifyRun(transaction, runId);
}

/** Says at an ended run what became of it when its caller undid it. */
export async function saveCallUndo(
  transaction: Transaction,
  runId: string,
  { undone, failed }: { readonly undone: readonly string[]; readonly failed: readonly string[] },
): Promise<void> {
  const run = await lockRun(transaction, runId);
  const rows: { rollback: { undone: string[]; failed: string[] } | null }[] = await transaction.query(
    `SELECT rollback FROM run WHERE id = $1`,
    [runId],
  );
  const before = rows[0]?.rollback ?? { undone: [], failed: [] };
  const all = [...new Set([...before.undone, ...undone])].filter((path) => !failed.includes(path));
  const rollback = { undone: all, failed: [...new Set([...before.failed, ...failed])] };
  await transaction.query(`UPDATE run SET rollback = $2 WHERE id = $1`, [runId, JSON.stringify(rollback)]);
  await appendEntries(transaction, run, [{ kind: 'run-undone', data: { rollback: { undone, failed } } }]);
  await saveLockedRun(transaction, run);
  await notifyRun(transaction, runId);
}

/** Says of an ended run that something of it cannot be undone, once. */
export async function noteNotUndone(
  transaction: Transaction,
  { runId, path }: WaitKey,
  error: { readonly code: string; readonly message: string },
): Promise<void> {
  const run = await lockRun(transaction, runId);
  const known: unknown[] = await transaction.query(
    `SELECT 1 FROM entry WHERE run_id = $1 AND kind = 'not-undone' AND step = $2 LIMIT 1`,
    [runId, path],
  );
  if (known.length > 0) return;
  await appendEntries(transaction, run, [{ kind: 'not-undone', step: path, data: { ...error } }]);
  await saveLockedRun(transaction, run);
}

/** The last attempt to undo a call; null: none was begun. */
export async function readCallUndo(
  transaction: Transaction,
  { runId, path }: WaitKey,
): Promise<{
  readonly state: string;
  readonly error: { readonly code: string; readonly message: string } | null;
} | null> {
  const rows: { state: string; error: { code: string; message: string } | null }[] = await transaction.query(
    `SELECT state, error FROM run_step WHERE run_id = $1 AND asset_id = $2 AND step = $3 AND phase = 'undo' ORDER BY generation DESC LIMIT 1`,
    [runId, NIL_ASSET_ID, path],
  );
  return rows[0] ?? null;
}

/**
 * A run that ends while it undoes runs that it called leaves undos without an end there, which nobody goes on with: they are judged as
 * its own are.
 */
export async function endCallUndos(transaction: Transaction, runId: string): Promise<void> {
  await transaction.query(
    // A call that a run undoes may have been made by a run that it takes up.
    `WITH RECURSIVE family (id) AS (
       SELECT $1::uuid
       UNION SELECT more.id FROM family f CROSS JOIN LATERAL (
         SELECT r.continues AS id FROM run r WHERE r.id = f.id AND r.continued_how = 'resume' AND r.continues IS NOT NULL
         UNION ALL SELECT c.id FROM run c WHERE c.parent_run_id = f.id AND c.undone_at IS NOT NULL) AS more)
     UPDATE run_step s SET ended_at = clock_timestamp(), state = CASE WHEN s.effect = ANY ($2) THEN 'cancelled' ELSE 'unknown' END,
       error = jsonb_build_object('code', CASE WHEN s.effect = ANY ($2) THEN 'cancelled' ELSE 'effect-uncertain' END,
         'message', 'The run that undid this one ended while this had no recorded end.')
     FROM family WHERE s.run_id = family.id AND s.run_id <> $1 AND s.phase = 'undo' AND s.state = 'started'`,
    [runId, [...repeatableEffects]],
  );
}
