import type { Transaction } from '../data-source.js';
import type { StoredError } from '../entities/runs.js';
import { storableJson } from '../storable-json.js';
import { appendEntries, lockRun, notifyRun, saveLockedRun } from './run-entries.js';

/** Which states of a new run its notifications are about; the database writes a row when the run comes into one of them. */
export async function saveNotifiedStates(
  transaction: Transaction,
  runId: string,
  states: readonly (readonly string[])[],
): Promise<void> {
  await transaction.query(`UPDATE run SET notify = $2 WHERE id = $1`, [runId, JSON.stringify(states)]);
}

export interface DueNotification {
  readonly runId: string;
  /** Index in the runbook's notifications. */
  readonly item: number;
  /** How often the run had come into one of its states, from 1. */
  readonly change: number;
  readonly state: string;
  readonly at: Date;
  /** This one included. */
  readonly attempts: number;
}

/**
 * Takes notifications that are due; each is due again after `leaseMs`, unless its end is written before. Who is told of several states
 * of a run hears of them in order; one whose earlier word met with a failure hears of the later all the same.
 */
export async function takeDueNotifications(
  transaction: Transaction,
  limit: number,
  leaseMs: number,
): Promise<readonly DueNotification[]> {
  const rows: DueNotification[] = await transaction.query(
    `WITH due AS (
       SELECT run_id, item, change FROM notification n WHERE done_at IS NULL AND next_at <= clock_timestamp()
         AND NOT EXISTS (
           SELECT 1 FROM notification e WHERE e.run_id = n.run_id AND e.item = n.item AND e.change < n.change
             AND e.done_at IS NULL AND e.last_error IS NULL)
       ORDER BY next_at LIMIT $1 FOR UPDATE SKIP LOCKED
     ), taken AS (
       UPDATE notification n SET attempts = n.attempts + 1, next_at = clock_timestamp() + $2 * interval '1 millisecond'
       FROM due WHERE n.run_id = due.run_id AND n.item = due.item AND n.change = due.change
       RETURNING n.run_id, n.item, n.change, n.state, n.at, n.attempts
     )
     SELECT run_id AS "runId", item, change, state, at, attempts FROM taken ORDER BY at`,
    [limit, leaseMs],
  );
  return rows;
}

export type NotificationEnd =
  | { readonly kind: 'sent' }
  /** Given up. */
  | { readonly kind: 'failed'; readonly error: StoredError }
  | { readonly kind: 'retry'; readonly error: StoredError; readonly delayMs: number };

/**
 * Writes what became of an attempt, and an entry of the run for the first failure and for the end. An attempt that was taken
 * over, because it took longer than its lease, writes nothing.
 */
export async function endNotification(
  transaction: Transaction,
  notification: DueNotification,
  uses: string,
  end: NotificationEnd,
): Promise<void> {
  const { runId, item, change, state, attempts } = notification;
  const run = await lockRun(transaction, runId);
  const error = end.kind === 'sent' ? null : end.error;
  const delayMs = end.kind === 'retry' ? end.delayMs : null;
  const rows: unknown[] = await transaction.query(
    `WITH ended AS (
       UPDATE notification SET last_error = $5::jsonb, outcome = $6::text, done_at = CASE WHEN $6::text IS NOT NULL THEN clock_timestamp() END,
         next_at = CASE WHEN $7::float8 IS NULL THEN next_at ELSE clock_timestamp() + $7::float8 * interval '1 millisecond' END
       WHERE run_id = $1 AND item = $2 AND change = $3 AND attempts = $4 AND done_at IS NULL RETURNING 1
     ) SELECT 1 FROM ended`,
    [runId, item, change, attempts, storableJson(error), end.kind === 'retry' ? null : end.kind, delayMs],
  );
  if (rows.length === 0 || (end.kind === 'retry' && attempts > 1)) return;
  const kind = end.kind === 'sent' ? 'notification-sent' : 'notification-failed';
  const data = {
    item,
    uses,
    state,
    attempts,
    ...(end.kind === 'sent' ? {} : { error, isLast: end.kind === 'failed' }),
  };
  await appendEntries(transaction, run, [{ kind, data }]);
  await saveLockedRun(transaction, run);
  await notifyRun(transaction, runId);
}

/** As if it had not been taken. */
export async function giveBackNotification(transaction: Transaction, notification: DueNotification): Promise<void> {
  const { runId, item, change, attempts } = notification;
  await transaction.query(
    `UPDATE notification SET attempts = attempts - 1, next_at = clock_timestamp()
     WHERE run_id = $1 AND item = $2 AND change = $3 AND attempts = $4 AND done_at IS NULL`,
    [runId, item, change, attempts],
  );
}
