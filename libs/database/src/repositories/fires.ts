import type { Transaction } from '../data-source.js';
import type { FireOutcome, FireSource } from '../entities/schedules.js';
import { fireColumns, type StoredFire } from './fire-rows.js';

/** Locks a schedule for settling and tells where it is; null: there is none (any more). */
export async function lockScheduleById(
  transaction: Transaction,
  id: string,
): Promise<{ space: string; name: string } | null> {
  const rows: { space: string; name: string }[] = await transaction.query(
    `SELECT space, name FROM schedule WHERE id = $1 FOR UPDATE`,
    [id],
  );
  return rows[0] ?? null;
}

/** A fire to be written, or what becomes of one that waited. */
export interface NewFire {
  readonly nominalAt: string;
  readonly source: FireSource;
  readonly outcome: FireOutcome;
  readonly code: string;
  readonly reason: string;
  readonly instants: number;
  /** Null: it stands for one instant. */
  readonly lastNominalAt: string | null;
  readonly dueAt: string | null;
  readonly evidence: Readonly<Record<string, unknown>>;
  readonly requestedBy: string | null;
  readonly requestKey: string | null;
  readonly runId: string | null;
}

/** Writes rows of the ledger; an instant that has its row already is a defect and fails the transaction. */
export async function insertFires(
  transaction: Transaction,
  scheduleId: string,
  fires: readonly NewFire[],
): Promise<void> {
  if (fires.length === 0) return;
  await transaction.query(
    `INSERT INTO fire (schedule_id, nominal_at, source, outcome, code, reason, instants, last_nominal_at, due_at, evidence,
       requested_by, request_key, run_id, settled_at)
     SELECT $1, f."nominalAt", f.source, f.outcome, f.code, f.reason, f.instants, f."lastNominalAt", f."dueAt", f.evidence,
       f."requestedBy", f."requestKey", f."runId", clock_timestamp()
     FROM jsonb_to_recordset($2::jsonb) AS f ("nominalAt" timestamptz, source text, outcome text, code text, reason text,
       instants integer, "lastNominalAt" timestamptz, "dueAt" timestamptz, evidence jsonb, "requestedBy" uuid,
       "requestKey" text, "runId" uuid)`,
    [scheduleId, JSON.stringify(fires)],
  );
}

/** The newest row grows by a stretch that goes on with it. */
export async function extendFire(
  transaction: Transaction,
  scheduleId: string,
  nominalAt: Date,
  by: { readonly instants: number; readonly lastNominalAt: string },
): Promise<void> {
  await transaction.query(
    `UPDATE fire SET instants = instants + $3, last_nominal_at = $4, settled_at = clock_timestamp()
     WHERE schedule_id = $1 AND nominal_at = $2 AND source = 'nominal'`,
    [scheduleId, nominalAt, by.instants, by.lastNominalAt],
  );
}

/** Ends fires that waited, or lets them wait otherwise; one that does not wait any more stays as it is. */
export async function endWaitingFires(
  transaction: Transaction,
  scheduleId: string,
  ends: readonly NewFire[],
): Promise<void> {
  if (ends.length === 0) return;
  await transaction.query(
    `UPDATE fire f SET outcome = e.outcome, code = e.code, reason = e.reason, waited = f.outcome, due_at = e."dueAt",
       evidence = f.evidence || e.evidence, run_id = e."runId", settled_at = clock_timestamp()
     FROM jsonb_to_recordset($2::jsonb) AS e ("nominalAt" timestamptz, source text, outcome text, code text, reason text,
       "dueAt" timestamptz, evidence jsonb, "runId" uuid)
     WHERE f.schedule_id = $1 AND f.nominal_at = e."nominalAt" AND f.source = e.source AND f.outcome IN ('queued', 'deferred')`,
    [scheduleId, JSON.stringify(ends)],
  );
}

/** Moves the watermark, and writes down when the schedule is to be attended to next; counts those that wait. */
export async function saveSettled(
  transaction: Transaction,
  scheduleId: string,
  times: { readonly watermark: string; readonly nextAt: string | null; readonly attendAt: Date | null },
): Promise<void> {
  await transaction.query(
    `UPDATE schedule s SET watermark = $2, next_at = $3, waiting = w.waiting, queued = w.queued,
       attend_at = least($4, w.due_at)
     FROM (SELECT count(*)::integer AS waiting, (count(*) FILTER (WHERE outcome = 'queued'))::integer AS queued,
             min(due_at) FILTER (WHERE outcome = 'deferred') AS due_at
           FROM fire WHERE schedule_id = $1 AND outcome IN ('queued', 'deferred')) AS w
     WHERE s.id = $1`,
    [scheduleId, times.watermark, times.nextAt, times.attendAt],
  );
}

/** Has the schedules of a space settled soon of which fires wait: an opening may have come nearer, or gone. In one order of locks. */
export async function attendWaiting(transaction: Transaction, space: string): Promise<void> {
  await transaction.query(
    `UPDATE schedule SET attend_at = clock_timestamp() WHERE id IN (
       SELECT id FROM schedule WHERE space = $1 AND waiting > 0 ORDER BY name FOR UPDATE)`,
    [space],
  );
}

/** Those that wait, the earlier ones first, at most `limit`. */
export async function listWaitingFires(
  transaction: Transaction,
  scheduleId: string,
  limit: number,
): Promise<StoredFire[]> {
  return transaction.query(
    `SELECT ${fireColumns} FROM fire WHERE schedule_id = $1 AND outcome IN ('queued', 'deferred')
     ORDER BY (source = 'backfill'), nominal_at LIMIT $2`,
    [scheduleId, limit],
  );
}

/** The newest row that stands for instants of the schedule. */
export async function findLastFire(transaction: Transaction, scheduleId: string): Promise<StoredFire | null> {
  const rows: StoredFire[] = await transaction.query(
    `SELECT ${fireColumns} FROM fire WHERE schedule_id = $1 AND source = 'nominal' ORDER BY nominal_at DESC LIMIT 1`,
    [scheduleId],
  );
  return rows[0] ?? null;
}

export async function quarantineSchedule(transaction: Transaction, id: string, reason: string): Promise<void> {
  await transaction.query(`UPDATE schedule SET quarantine_reason = $2, wake_id = NULL WHERE id = $1`, [id, reason]);
}

/** What runs of a schedule do and did, as far as it decides what starts next. */
export interface ScheduleRuns {
  /** Under way, the oldest first; at most ten. */
  readonly openRunIds: readonly string[];
  /** When the last one ended. */
  readonly lastEndedAt: Date | null;
  /** The first run after `failuresFrom` that failed or timed out. */
  readonly failed: { readonly id: string; readonly state: string; readonly endedAt: string } | null;
}

export async function readScheduleRuns(
  transaction: Transaction,
  scheduleId: string,
  options: { readonly failuresFrom: Date | null; readonly withLastEnd: boolean },
): Promise<ScheduleRuns> {
  const rows: ScheduleRuns[] = await transaction.query(
    `SELECT
       coalesce((SELECT array_agg(o.id) FROM (
         SELECT id FROM run WHERE schedule_id = $1 AND ended_at IS NULL ORDER BY id LIMIT 10) AS o), '{}') AS "openRunIds",
       CASE WHEN $3 THEN (SELECT max(ended_at) FROM run WHERE schedule_id = $1) END AS "lastEndedAt",
       CASE WHEN $2::timestamptz IS NOT NULL THEN (
         SELECT jsonb_build_object('id', id, 'state', state, 'endedAt', ended_at) FROM run
         WHERE schedule_id = $1 AND state IN ('failed', 'timed-out') AND ended_at > $2 ORDER BY ended_at LIMIT 1) END AS failed`,
    [scheduleId, options.failuresFrom, options.withLastEnd],
  );
  return rows[0]!;
}

/**
 * Schedules that nobody has settled though there is a reason to: an instant or an opening is due by more than the given lateness, a
 * run has ended that others waited for, or one has failed. The oldest first, without some.
 */
export async function listDueSchedules(
  transaction: Transaction,
  latenessMs: number,
  without: readonly string[],
  limit: number,
): Promise<string[]> {
  const rows: { id: string }[] = await transaction.query(
    `SELECT id FROM (
       SELECT id, next_at AS at FROM schedule
       WHERE next_at <= clock_timestamp() - $1 * interval '1 millisecond' AND quarantine_reason IS NULL
       UNION ALL
       SELECT id, attend_at FROM schedule WHERE attend_at <= clock_timestamp() AND quarantine_reason IS NULL
       UNION ALL
       SELECT id, clock_timestamp() FROM schedule s
       WHERE queued > 0 AND quarantine_reason IS NULL
         AND NOT EXISTS (SELECT 1 FROM run r WHERE r.schedule_id = s.id AND r.ended_at IS NULL)
       UNION ALL
       SELECT id, clock_timestamp() FROM schedule s
       WHERE failures_from IS NOT NULL AND paused_at IS NULL AND quarantine_reason IS NULL
         AND EXISTS (SELECT 1 FROM run r
           WHERE r.schedule_id = s.id AND r.state IN ('failed', 'timed-out') AND r.ended_at > s.failures_from)) AS due
     WHERE id <> ALL ($2::uuid[]) GROUP BY id ORDER BY min(at) LIMIT $3`,
    [latenessMs, without, limit],
  );
  return rows.map((row) => row.id);
}

/** Milliseconds until the next schedule comes to be due; null: none ever does. */
export async function untilNextDue(transaction: Transaction): Promise<number | null> {
  const rows: { ms: number | null }[] = await transaction.query(
    `SELECT extract(epoch FROM min(next_at) - clock_timestamp())::float8 * 1000 AS ms
     FROM schedule WHERE next_at > clock_timestamp() AND quarantine_reason IS NULL`,
  );
  return rows[0]?.ms ?? null;
}

/** The schedule that a run belongs to, if fires of it wait for that run's end or a failure of it would pause it. */
export async function scheduleWaitingForRun(transaction: Transaction, runId: string): Promise<string | null> {
  const rows: { id: string }[] = await transaction.query(
    `SELECT s.id FROM run r JOIN schedule s ON s.id = r.schedule_id
     WHERE r.id = $1 AND (s.queued > 0 OR s.failures_from IS NOT NULL)`,
    [runId],
  );
  return rows[0]?.id ?? null;
}

/** Ties a run that a person triggered to its schedule. */
export async function setRunSchedule(transaction: Transaction, runId: string, scheduleId: string): Promise<void> {
  await transaction.query(`UPDATE run SET schedule_id = $2 WHERE id = $1`, [runId, scheduleId]);
}

/** The fire that an earlier request with the same key made. */
export async function findFireByKey(
  transaction: Transaction,
  scheduleId: string,
  requestedBy: string | null,
  requestKey: string,
): Promise<StoredFire | null> {
  const rows: StoredFire[] = await transaction.query(
    `SELECT ${fireColumns} FROM fire
     WHERE schedule_id = $1 AND requested_by IS NOT DISTINCT FROM $2 AND request_key = $3 AND source = 'trigger'
       AND nominal_at > clock_timestamp() - interval '7 days' LIMIT 1`,
    [scheduleId, requestedBy, requestKey],
  );
  return rows[0] ?? null;
}
