import type { Transaction } from '../data-source.js';
import type { NewFire, ScheduleRuns } from './fires.js';
import { emptyCounts, type NewEntry } from './run-entries.js';
import { scheduleColumns, scheduleSource, type StoredSchedule } from './schedules.js';

// What settles and starts many schedules at once, a statement each instead of one for each schedule.

/**
 * Locks schedules that are due and that nobody else settles just now, without some; empty: there is none. The longest due come first,
 * and of those the earlier made.
 */
export async function takeDueSchedules(
  transaction: Transaction,
  without: readonly string[],
  limit: number,
): Promise<string[]> {
  const rows: { id: string }[] = await transaction.query(
    `SELECT id FROM schedule WHERE next_at <= clock_timestamp() AND quarantine_reason IS NULL AND id <> ALL ($1::uuid[])
     ORDER BY next_at, id LIMIT $2 FOR UPDATE SKIP LOCKED`,
    [without, limit],
  );
  return rows.map((row) => row.id);
}

/** Locks those of the schedules that nobody else settles just now. */
export async function lockIdleSchedules(transaction: Transaction, ids: readonly string[]): Promise<string[]> {
  const rows: { id: string }[] = await transaction.query(
    `SELECT id FROM schedule WHERE id = ANY ($1) ORDER BY array_position($1::uuid[], id) FOR UPDATE SKIP LOCKED`,
    [ids],
  );
  return rows.map((row) => row.id);
}

/** Schedules as they are, in the order of the ids; ask after they are locked, or what was read may be of before. */
export async function readSchedules(transaction: Transaction, ids: readonly string[]): Promise<StoredSchedule[]> {
  return transaction.query(
    `SELECT ${scheduleColumns} FROM ${scheduleSource} WHERE s.id = ANY ($1) ORDER BY array_position($1::uuid[], s.id)`,
    [ids],
  );
}

/** As `readScheduleRuns`, but for the last end, which only those need of which fires wait. */
export async function readRunsOfSchedules(
  transaction: Transaction,
  ids: readonly string[],
): Promise<ReadonlyMap<string, ScheduleRuns>> {
  const rows: (ScheduleRuns & { id: string })[] = await transaction.query(
    `SELECT s.id,
       coalesce((SELECT array_agg(o.id) FROM (
         SELECT id FROM run WHERE schedule_id = s.id AND ended_at IS NULL ORDER BY id LIMIT 10) AS o), '{}') AS "openRunIds",
       NULL AS "lastEndedAt",
       CASE WHEN s.failures_from IS NOT NULL THEN (
         SELECT jsonb_build_object('id', id, 'state', state, 'endedAt', ended_at) FROM run
         WHERE schedule_id = s.id AND state IN ('failed', 'timed-out') AND ended_at > s.failures_from ORDER BY ended_at LIMIT 1) END AS failed
     FROM schedule s WHERE s.id = ANY ($1)`,
    [ids],
  );
  return new Map(rows.map(({ id, ...runs }) => [id, runs]));
}

/** As `insertFires`, of many schedules. */
export async function insertFiresOfSchedules(
  transaction: Transaction,
  fires: readonly (NewFire & { readonly scheduleId: string })[],
): Promise<void> {
  if (fires.length === 0) return;
  await transaction.query(
    `INSERT INTO fire (schedule_id, nominal_at, source, outcome, code, reason, instants, last_nominal_at, due_at, evidence,
       requested_by, request_key, run_id, settled_at)
     SELECT f."scheduleId", f."nominalAt", f.source, f.outcome, f.code, f.reason, f.instants, f."lastNominalAt", f."dueAt", f.evidence,
       f."requestedBy", f."requestKey", f."runId", clock_timestamp()
     FROM jsonb_to_recordset($1::jsonb) AS f ("scheduleId" uuid, "nominalAt" timestamptz, source text, outcome text, code text,
       reason text, instants integer, "lastNominalAt" timestamptz, "dueAt" timestamptz, evidence jsonb, "requestedBy" uuid,
       "requestKey" text, "runId" uuid)`,
    [JSON.stringify(fires)],
  );
}

/** As `saveSettled`, of many schedules. */
export async function saveSettledSchedules(
  transaction: Transaction,
  times: readonly {
    readonly id: string;
    readonly watermark: string;
    readonly nextAt: string | null;
    readonly attendAt: Date | null;
  }[],
): Promise<void> {
  if (times.length === 0) return;
  await transaction.query(
    `UPDATE schedule s SET watermark = t.watermark, next_at = t."nextAt", waiting = w.waiting, queued = w.queued,
       attend_at = least(t."attendAt", w.due_at)
     FROM jsonb_to_recordset($1::jsonb) AS t (id uuid, watermark timestamptz, "nextAt" timestamptz, "attendAt" timestamptz)
     CROSS JOIN LATERAL (
       SELECT count(*)::integer AS waiting, (count(*) FILTER (WHERE outcome = 'queued'))::integer AS queued,
         min(due_at) FILTER (WHERE outcome = 'deferred') AS due_at
       FROM fire WHERE schedule_id = t.id AND outcome IN ('queued', 'deferred')) AS w
     WHERE s.id = t.id`,
    [JSON.stringify(times)],
  );
}

/** Gives new runs the targets of another new one: the same set, with the same digest. */
export async function copyNewTargets(transaction: Transaction, from: string, runIds: readonly string[]): Promise<void> {
  if (runIds.length === 0) return;
  await transaction.query(
    `INSERT INTO run_target (run_id, asset_id, asset_name)
     SELECT r.id, t.asset_id, t.asset_name FROM unnest($2::uuid[]) AS r (id) CROSS JOIN run_target t WHERE t.run_id = $1`,
    [from, runIds],
  );
}

/** What is known of new runs once their targets are there, with the first entry of each. All of their targets are pending. */
export async function completeNewRuns(
  transaction: Transaction,
  runs: readonly {
    readonly id: string;
    readonly count: number;
    readonly digest: string;
    readonly undetermined: number;
    readonly entry: NewEntry;
  }[],
): Promise<void> {
  if (runs.length === 0) return;
  const rows = runs.map(({ id, count, digest, undetermined, entry }) => ({
    ...{ id, count, digest, undetermined, counts: emptyCounts(count) },
    kind: entry.kind,
    data: entry.data ?? {},
  }));
  await transaction.query(
    `WITH known AS (
       SELECT * FROM jsonb_to_recordset($1::jsonb) AS k (id uuid, count integer, digest text, undetermined integer, counts jsonb,
         kind text, data jsonb)),
     completed AS (
       UPDATE run r SET target_count = k.count, target_set_digest = k.digest, undetermined_count = k.undetermined, counts = k.counts,
         seq = 1
       FROM known k WHERE r.id = k.id)
     INSERT INTO entry (run_id, seq, at, kind, data) SELECT id, 1, clock_timestamp(), kind, data FROM known`,
    [JSON.stringify(rows)],
  );
}

/** Takes back runs that this very transaction has made, with their targets and entries. */
export async function dropNewRuns(transaction: Transaction, runIds: readonly string[]): Promise<void> {
  if (runIds.length === 0) return;
  await transaction.query(
    `WITH dropped AS (DELETE FROM run WHERE id = ANY ($1)) DELETE FROM entry WHERE run_id = ANY ($1)`,
    [runIds],
  );
}
