import type { ScheduleDocument } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import { fireColumns, type StoredFire } from './fire-rows.js';

export interface StoredSchedule {
  readonly id: string;
  readonly space: string;
  readonly name: string;
  readonly createdBy: string;
  readonly watermark: Date;
  readonly nextAt: Date | null;
  readonly pausedAt: Date | null;
  readonly pausedBy: string | null;
  readonly pauseReason: string | null;
  /** It goes on by itself from here; null: until somebody resumes it. */
  readonly pausedUntil: Date | null;
  /** A run that failed after this pauses it; null: none does. */
  readonly failuresFrom: Date | null;
  /** Since when it has been due as it is now; null: since before this was recorded. */
  readonly countedFrom: Date | null;
  /** Last single instant that Temporal was told; null: it has a rule, or all that there will be. */
  readonly placedUntil: Date | null;
  /** Which entry of Temporal's wakes it, together with all that are due when it is; null: none does yet. */
  readonly wakeId: string | null;
  /** Fires that wait: in the queue, or for an opening. */
  readonly waiting: number;
  readonly quarantineReason: string | null;
  /** The current version of its document. */
  readonly document: ScheduleDocument;
  readonly version: string;
  /** When this was read, by the clock of the database: no worker's clock decides what is due. */
  readonly readAt: Date;
}

export const scheduleColumns = `s.id, s.space, s.name, s.created_by AS "createdBy", s.watermark, s.next_at AS "nextAt",
  s.paused_at AS "pausedAt", s.paused_by AS "pausedBy", s.pause_reason AS "pauseReason",
  s.quarantine_reason AS "quarantineReason", s.paused_until AS "pausedUntil", s.failures_from AS "failuresFrom",
  s.counted_from AS "countedFrom", s.placed_until AS "placedUntil", s.wake_id AS "wakeId", s.waiting, v.parsed AS document, v.digest AS version,
  clock_timestamp() AS "readAt"`;
export const scheduleSource = `schedule s JOIN document d ON d.id = s.id JOIN document_version v ON v.id = d.current_version_id`;

/** Makes the row of a schedule; of one that exists only the owner changes, and from when on failures pause it. */
export async function saveScheduleOwner(
  transaction: Transaction,
  schedule: {
    readonly id: string;
    readonly space: string;
    readonly name: string;
    readonly createdBy: string;
    readonly pauseOnFailure: boolean;
  },
): Promise<void> {
  await transaction.query(
    `INSERT INTO schedule (id, space, name, created_by, watermark, failures_from)
     VALUES ($1, $2, $3, $4, clock_timestamp(), CASE WHEN $5 THEN clock_timestamp() END)
     ON CONFLICT (id) DO UPDATE SET created_by = excluded.created_by,
       failures_from = CASE WHEN $5 THEN coalesce(schedule.failures_from, clock_timestamp()) END`,
    [schedule.id, schedule.space, schedule.name, schedule.createdBy, schedule.pauseOnFailure],
  );
}

/**
 * Counts instants anew, for a new schedule and where it is due otherwise: from where it is settled up to, so that none is left out; of a
 * quarantined one from now, because nobody settled it meanwhile. Ends a quarantine.
 * @returns from when on
 */
export async function restartSchedule(transaction: Transaction, id: string): Promise<{ readonly watermark: Date }> {
  const rows: { watermark: Date }[] = await transaction.query(
    `WITH restarted AS (
       UPDATE schedule s SET watermark = b.watermark, counted_from = b.watermark, quarantine_reason = NULL, compared_at = NULL
       FROM (SELECT id, CASE WHEN quarantine_reason IS NULL THEN watermark ELSE greatest(watermark, clock_timestamp()) END AS watermark
             FROM schedule WHERE id = $1 FOR UPDATE) AS b WHERE s.id = b.id RETURNING s.watermark)
     SELECT watermark FROM restarted`,
    [id],
  );
  return rows[0]!;
}

export async function saveNextAt(transaction: Transaction, id: string, nextAt: Date | null): Promise<void> {
  await transaction.query(`UPDATE schedule SET next_at = $2 WHERE id = $1`, [id, nextAt]);
}

export async function findSchedule(
  transaction: Transaction,
  key: { readonly space: string; readonly name: string },
  options: { readonly lock?: boolean } = {},
): Promise<StoredSchedule | null> {
  const rows: StoredSchedule[] = await transaction.query(
    `SELECT ${scheduleColumns} FROM ${scheduleSource} WHERE s.space = $1 AND s.name = $2 ${options.lock ? 'FOR UPDATE OF s' : ''}`,
    [key.space, key.name],
  );
  return rows[0] ?? null;
}

export async function listScheduleRows(
  transaction: Transaction,
  query: { readonly space: string; readonly after: string | null; readonly limit: number },
): Promise<StoredSchedule[]> {
  return transaction.query(
    `SELECT ${scheduleColumns} FROM ${scheduleSource} WHERE s.space = $1 AND ($2::text IS NULL OR s.name > $2) ORDER BY s.name LIMIT $3`,
    [query.space, query.after, query.limit],
  );
}

/** The newest fires of each schedule, at most `limit` of each, newest first. */
export async function listLastFires(
  transaction: Transaction,
  scheduleIds: readonly string[],
  limit: number,
): Promise<ReadonlyMap<string, readonly StoredFire[]>> {
  const rows: (StoredFire & { scheduleId: string })[] = await transaction.query(
    `SELECT f.* FROM unnest($1::uuid[]) AS wanted (id)
     CROSS JOIN LATERAL (
       SELECT schedule_id AS "scheduleId", ${fireColumns} FROM fire WHERE schedule_id = wanted.id ORDER BY nominal_at DESC LIMIT $2) AS f`,
    [scheduleIds, limit],
  );
  const fires = new Map<string, StoredFire[]>();
  for (const { scheduleId, ...fire } of rows) {
    const list = fires.get(scheduleId) ?? [];
    list.push(fire);
    fires.set(scheduleId, list);
  }
  return fires;
}

/** Pauses a schedule; of one that is paused only the reason, the end and whose it is change. */
export async function pauseScheduleRow(
  transaction: Transaction,
  pause: {
    readonly id: string;
    readonly by: string;
    readonly reason: string;
    readonly until?: Date | null;
    /** Absent: now. */
    readonly from?: Date;
  },
): Promise<void> {
  await transaction.query(
    `UPDATE schedule SET paused_at = coalesce(paused_at, $5, clock_timestamp()), paused_by = $2, pause_reason = $3,
       paused_until = $4, attend_at = least(attend_at, $4) WHERE id = $1`,
    [pause.id, pause.by, pause.reason, pause.until ?? null, pause.from ?? null],
  );
}

/** The pause is over; what failed meanwhile still counts, unless a person resumes it. */
export async function resumeScheduleRow(transaction: Transaction, id: string): Promise<void> {
  await transaction.query(
    `UPDATE schedule SET paused_at = NULL, paused_by = NULL, pause_reason = NULL, paused_until = NULL WHERE id = $1`,
    [id],
  );
}

/** A person has decided on what failed until now: it pauses the schedule no more. */
export async function forgetFailures(transaction: Transaction, id: string): Promise<void> {
  await transaction.query(
    `UPDATE schedule SET failures_from = clock_timestamp() WHERE id = $1 AND failures_from IS NOT NULL`,
    [id],
  );
}
