import type { Transaction } from '../data-source.js';
import type { FireOutcome, FireSource } from '../entities/schedules.js';

/** Notes by when runs of a schedule must have started and finished, for fires from now on. */
export async function saveScheduleDeadlines(
  transaction: Transaction,
  id: string,
  deadlines: { readonly startMs: number | null; readonly finishMs: number | null },
): Promise<void> {
  await transaction.query(
    `UPDATE schedule SET must_start_ms = $2, must_finish_ms = $3
     WHERE id = $1 AND (must_start_ms IS DISTINCT FROM $2 OR must_finish_ms IS DISTINCT FROM $3)`,
    [id, deadlines.startMs, deadlines.finishMs],
  );
}

export interface DeadlineKey {
  readonly scheduleId: string;
  readonly nominalAt: Date;
  readonly source: FireSource;
  readonly kind: 'start' | 'finish';
}

/** A deadline that may be decided: it is over, or what it is about has happened or cannot happen any more. */
export interface OpenDeadline extends DeadlineKey {
  readonly space: string;
  readonly schedule: string;
  readonly dueAt: Date;
  readonly outcome: FireOutcome;
  readonly code: string;
  readonly reason: string;
  /** Of a deferred fire: when it may start. */
  readonly fireDueAt: Date | null;
  readonly runId: string | null;
  readonly startedAt: Date | null;
  readonly endedAt: Date | null;
}

/** Deadlines that can be decided now, the oldest first. */
export async function listDecidableDeadlines(transaction: Transaction, limit: number): Promise<OpenDeadline[]> {
  return transaction.query(
    `SELECT d.schedule_id AS "scheduleId", d.nominal_at AS "nominalAt", d.source, d.kind, d.due_at AS "dueAt", s.space,
       s.name AS schedule, f.outcome, f.code, f.reason, f.due_at AS "fireDueAt", f.run_id AS "runId",
       r.started_at AS "startedAt", r.ended_at AS "endedAt"
     FROM schedule_deadline d JOIN schedule s ON s.id = d.schedule_id
       JOIN fire f ON f.schedule_id = d.schedule_id AND f.nominal_at = d.nominal_at AND f.source = d.source
       LEFT JOIN run r ON r.id = f.run_id
     WHERE d.raised_at IS NULL AND (d.due_at <= clock_timestamp()
       OR (f.run_id IS NULL AND f.outcome NOT IN ('queued', 'deferred'))
       OR (f.outcome = 'deferred' AND f.due_at > d.due_at)
       OR r.ended_at IS NOT NULL OR (d.kind = 'start' AND r.started_at IS NOT NULL))
     ORDER BY d.due_at LIMIT $1`,
    [limit],
  );
}

/** It was met, or does not matter. False: somebody has decided it. */
export async function closeDeadline(transaction: Transaction, key: DeadlineKey): Promise<boolean> {
  const rows: unknown[] = await transaction.query(
    `WITH gone AS (DELETE FROM schedule_deadline
       WHERE schedule_id = $1 AND nominal_at = $2 AND source = $3 AND kind = $4 AND raised_at IS NULL RETURNING 1)
     SELECT 1 FROM gone`,
    [key.scheduleId, key.nominalAt, key.source, key.kind],
  );
  return rows.length > 0;
}

/** It cannot be met any more. False: somebody has raised it. */
export async function raiseDeadline(transaction: Transaction, key: DeadlineKey, reason: string): Promise<boolean> {
  const rows: unknown[] = await transaction.query(
    `WITH raised AS (UPDATE schedule_deadline SET raised_at = clock_timestamp(), reason = $5
       WHERE schedule_id = $1 AND nominal_at = $2 AND source = $3 AND kind = $4 AND raised_at IS NULL RETURNING 1)
     SELECT 1 FROM raised`,
    [key.scheduleId, key.nominalAt, key.source, key.kind, reason],
  );
  return rows.length > 0;
}

/** How many deadlines could not be met, by kind. */
export async function countRaisedDeadlines(transaction: Transaction): Promise<Readonly<Record<string, number>>> {
  const rows: { kind: string; count: number }[] = await transaction.query(
    `SELECT kind, count(*)::integer AS count FROM schedule_deadline WHERE raised_at IS NOT NULL GROUP BY kind`,
  );
  return Object.fromEntries(rows.map(({ kind, count }) => [kind, count]));
}

/**
 * Forgets deadlines whose fire is in the ledger no more, among the `limit` oldest; returns how many. They live as long as the ledger's
 * partitions do, which whoever runs the database drops from the oldest on.
 */
export async function forgetLostDeadlines(transaction: Transaction, limit: number): Promise<number> {
  const rows: unknown[] = await transaction.query(
    `WITH oldest AS (SELECT schedule_id, nominal_at, source, kind FROM schedule_deadline ORDER BY nominal_at LIMIT $1),
       gone AS (
         DELETE FROM schedule_deadline d USING oldest o
         WHERE d.schedule_id = o.schedule_id AND d.nominal_at = o.nominal_at AND d.source = o.source AND d.kind = o.kind
           AND NOT EXISTS (SELECT FROM fire f
             WHERE f.schedule_id = o.schedule_id AND f.nominal_at = o.nominal_at AND f.source = o.source)
         RETURNING 1)
     SELECT 1 FROM gone`,
    [limit],
  );
  return rows.length;
}
