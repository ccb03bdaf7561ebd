import type { ScheduleDocument } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import type { FireOutcome } from '../entities/schedules.js';

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
  readonly quarantineReason: string | null;
  /** The current version of its document. */
  readonly document: ScheduleDocument;
  readonly version: string;
}

export interface StoredFire {
  readonly nominalAt: Date;
  readonly outcome: FireOutcome;
  readonly reason: string;
  readonly runId: string | null;
  readonly settledAt: Date;
}

const columns = `s.id, s.space, s.name, s.created_by AS "createdBy", s.watermark, s.next_at AS "nextAt",
  s.paused_at AS "pausedAt", s.paused_by AS "pausedBy", s.pause_reason AS "pauseReason",
  s.quarantine_reason AS "quarantineReason", v.parsed AS document, v.digest AS version`;
const source = `schedule s JOIN document d ON d.id = s.id JOIN document_version v ON v.id = d.current_version_id`;

/** Makes the row of a schedule; of one that exists only the owner changes. */
export async function saveScheduleOwner(
  transaction: Transaction,
  schedule: { readonly id: string; readonly space: string; readonly name: string; readonly createdBy: string },
): Promise<void> {
  await transaction.query(
    `INSERT INTO schedule (id, space, name, created_by, watermark) VALUES ($1, $2, $3, $4, clock_timestamp())
     ON CONFLICT (id) DO UPDATE SET created_by = excluded.created_by`,
    [schedule.id, schedule.space, schedule.name, schedule.createdBy],
  );
}

/** Starts counting instants from `watermark`: for a new schedule, and where its cron expression or zone changed. */
export async function saveScheduleTimes(
  transaction: Transaction,
  times: { readonly id: string; readonly watermark: Date; readonly nextAt: Date | null },
): Promise<void> {
  await transaction.query(
    `UPDATE schedule SET watermark = greatest(watermark, $2), next_at = $3, quarantine_reason = NULL WHERE id = $1`,
    [times.id, times.watermark, times.nextAt],
  );
}

export async function findSchedule(
  transaction: Transaction,
  key: { readonly space: string; readonly name: string },
  options: { readonly lock?: boolean } = {},
): Promise<StoredSchedule | null> {
  const rows: StoredSchedule[] = await transaction.query(
    `SELECT ${columns} FROM ${source} WHERE s.space = $1 AND s.name = $2 ${options.lock ? 'FOR UPDATE OF s' : ''}`,
    [key.space, key.name],
  );
  return rows[0] ?? null;
}

export async function listScheduleRows(
  transaction: Transaction,
  query: { readonly space: string; readonly after: string | null; readonly limit: number },
): Promise<StoredSchedule[]> {
  return transaction.query(
    `SELECT ${columns} FROM ${source} WHERE s.space = $1 AND ($2::text IS NULL OR s.name > $2) ORDER BY s.name LIMIT $3`,
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
       SELECT schedule_id AS "scheduleId", nominal_at AS "nominalAt", outcome, reason, run_id AS "runId", settled_at AS "settledAt"
       FROM fire WHERE schedule_id = wanted.id ORDER BY nominal_at DESC LIMIT $2) AS f`,
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

/** Pauses a schedule; of one that is paused only the reason and whose it is change. */
export async function pauseScheduleRow(
  transaction: Transaction,
  pause: { readonly id: string; readonly by: string; readonly reason: string },
): Promise<void> {
  await transaction.query(
    `UPDATE schedule SET paused_at = coalesce(paused_at, clock_timestamp()), paused_by = $2, pause_reason = $3 WHERE id = $1`,
    [pause.id, pause.by, pause.reason],
  );
}

export async function resumeScheduleRow(transaction: Transaction, id: string): Promise<void> {
  await transaction.query(`UPDATE schedule SET paused_at = NULL, paused_by = NULL, pause_reason = NULL WHERE id = $1`, [
    id,
  ]);
}
