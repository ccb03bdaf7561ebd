import type { Transaction } from '../data-source.js';
import type { FireOutcome } from '../entities/schedules.js';

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

export interface NewFire {
  readonly nominalAt: string;
  readonly outcome: FireOutcome;
  readonly reason: string;
  readonly runId: string | null;
}

/** Writes the ledger's rows and moves the watermark; a row that is there already is a defect and fails the transaction. */
export async function insertFires(
  transaction: Transaction,
  scheduleId: string,
  fires: readonly NewFire[],
  times: { readonly watermark: string; readonly nextAt: string | null },
): Promise<void> {
  await transaction.query(
    `INSERT INTO fire (schedule_id, nominal_at, outcome, reason, run_id, settled_at)
     SELECT $1, f."nominalAt", f.outcome, f.reason, f."runId", clock_timestamp()
     FROM jsonb_to_recordset($2::jsonb) AS f ("nominalAt" timestamptz, outcome text, reason text, "runId" uuid)`,
    [scheduleId, JSON.stringify(fires)],
  );
  await transaction.query(`UPDATE schedule SET watermark = $2, next_at = $3 WHERE id = $1`, [
    scheduleId,
    times.watermark,
    times.nextAt,
  ]);
}

export async function quarantineSchedule(transaction: Transaction, id: string, reason: string): Promise<void> {
  await transaction.query(`UPDATE schedule SET quarantine_reason = $2 WHERE id = $1`, [id, reason]);
}

export async function hasOpenRun(transaction: Transaction, scheduleId: string): Promise<boolean> {
  const rows: unknown[] = await transaction.query(
    `SELECT 1 FROM run WHERE schedule_id = $1 AND ended_at IS NULL LIMIT 1`,
    [scheduleId],
  );
  return rows.length > 0;
}

/** Schedules that are due by more than the given lateness and were not settled yet, the oldest first, without some. */
export async function listDueSchedules(
  transaction: Transaction,
  latenessMs: number,
  without: readonly string[],
  limit: number,
): Promise<string[]> {
  const rows: { id: string }[] = await transaction.query(
    `SELECT id FROM schedule
     WHERE next_at <= clock_timestamp() - $1 * interval '1 millisecond' AND quarantine_reason IS NULL
       AND id <> ALL ($2::uuid[])
     ORDER BY next_at LIMIT $3`,
    [latenessMs, without, limit],
  );
  return rows.map((row) => row.id);
}

/** Ties a run that a person triggered to its schedule. */
export async function setRunSchedule(transaction: Transaction, runId: string, scheduleId: string): Promise<void> {
  await transaction.query(`UPDATE run SET schedule_id = $2 WHERE id = $1`, [runId, scheduleId]);
}
