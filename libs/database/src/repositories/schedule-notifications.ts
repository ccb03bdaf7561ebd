import type { Transaction } from '../data-source.js';
import type { StoredError } from '../entities/runs.js';
import { storableJson } from '../storable-json.js';
import type { NotificationEnd } from './notifications.js';

/** One notification as a schedule's document says it. */
export interface SaidNotification {
  readonly on: readonly string[];
  readonly uses: string;
  readonly with: Readonly<Record<string, unknown>>;
}

/** Whom a schedule tells from now on; triggers of the database write what is to be told. */
export async function saveScheduleNotify(
  transaction: Transaction,
  id: string,
  notify: readonly SaidNotification[] | null,
): Promise<void> {
  await transaction.query(
    `UPDATE schedule SET notify = $2::jsonb WHERE id = $1 AND notify IS DISTINCT FROM $2::jsonb`,
    [id, notify === null ? null : JSON.stringify(storableJson(notify))],
  );
}

export interface DueScheduleNotification {
  readonly id: string;
  readonly space: string;
  readonly schedule: string;
  /** Index in the notifications of the document as it was. */
  readonly item: number;
  readonly state: string;
  readonly uses: string;
  readonly input: Readonly<Record<string, unknown>>;
  /** What happened: `reason`, and what is known besides; without what is counted after it, so that a repeat says the same. */
  readonly news: Readonly<Record<string, unknown>>;
  readonly at: Date;
  /** This one included. */
  readonly attempts: number;
}

/** Takes notifications that are due; each is due again after `leaseMs`, unless its end is written before. */
export async function takeDueScheduleNotifications(
  transaction: Transaction,
  limit: number,
  leaseMs: number,
): Promise<readonly DueScheduleNotification[]> {
  return transaction.query(
    `WITH due AS (
       SELECT id FROM schedule_notification WHERE done_at IS NULL AND next_at <= clock_timestamp()
       ORDER BY next_at LIMIT $1 FOR UPDATE SKIP LOCKED
     ), taken AS (
       UPDATE schedule_notification n SET attempts = n.attempts + 1, next_at = clock_timestamp() + $2 * interval '1 millisecond'
       FROM due WHERE n.id = due.id RETURNING n.*
     )
     SELECT n.id, s.space, s.name AS schedule, n.item, n.state, n.uses, n.input, n.news - 'followed' AS news, n.at, n.attempts
     FROM taken n JOIN schedule s ON s.id = n.schedule_id ORDER BY n.at`,
    [limit, leaseMs],
  );
}

/** Writes what became of an attempt. One that was taken over, because it took longer than its lease, writes nothing. */
export async function endScheduleNotification(
  transaction: Transaction,
  { id, attempts }: DueScheduleNotification,
  end: NotificationEnd,
): Promise<void> {
  await transaction.query(
    `UPDATE schedule_notification SET last_error = $3::jsonb, outcome = $4::text,
       done_at = CASE WHEN $4::text IS NOT NULL THEN clock_timestamp() END,
       next_at = CASE WHEN $5::float8 IS NULL THEN next_at ELSE clock_timestamp() + $5::float8 * interval '1 millisecond' END
     WHERE id = $1 AND attempts = $2 AND done_at IS NULL`,
    [
      id,
      attempts,
      storableJson(end.kind === 'sent' ? null : end.error),
      end.kind === 'retry' ? null : end.kind,
      end.kind === 'retry' ? end.delayMs : null,
    ],
  );
}

/** As if it had not been taken. */
export async function giveBackScheduleNotification(
  transaction: Transaction,
  { id, attempts }: DueScheduleNotification,
): Promise<void> {
  await transaction.query(
    `UPDATE schedule_notification SET attempts = attempts - 1, next_at = clock_timestamp()
     WHERE id = $1 AND attempts = $2 AND done_at IS NULL`,
    [id, attempts],
  );
}

export interface StoredScheduleNotification {
  readonly item: number;
  readonly state: string;
  readonly uses: string;
  readonly reason: string;
  readonly at: Date;
  readonly attempts: number;
  readonly outcome: 'sent' | 'failed' | null;
  /** When it was sent or given up; null: it is tried again at `nextAt`. */
  readonly doneAt: Date | null;
  readonly nextAt: Date;
  readonly lastError: StoredError | null;
}

/** What a schedule has told lately, the newest first. */
export async function listScheduleNotifications(
  transaction: Transaction,
  scheduleId: string,
  limit: number,
): Promise<readonly StoredScheduleNotification[]> {
  return transaction.query(
    `SELECT item, state, uses, COALESCE(news ->> 'reason', '') AS reason, at, attempts, outcome, done_at AS "doneAt",
       next_at AS "nextAt", last_error AS "lastError"
     FROM schedule_notification WHERE schedule_id = $1 ORDER BY at DESC, id DESC LIMIT $2`,
    [scheduleId, limit],
  );
}

/** Forgets notifications that were sent or given up before a moment, at most `limit`; returns how many. */
export async function forgetScheduleNotifications(
  transaction: Transaction,
  before: Date,
  limit: number,
): Promise<number> {
  const rows: unknown[] = await transaction.query(
    `WITH old AS (SELECT id FROM schedule_notification WHERE done_at < $1 ORDER BY done_at LIMIT $2),
       gone AS (DELETE FROM schedule_notification n USING old WHERE n.id = old.id RETURNING 1)
     SELECT 1 FROM gone`,
    [before, limit],
  );
  return rows.length;
}
