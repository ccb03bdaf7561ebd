import type { Transaction } from '../data-source.js';
import type { FireSource } from '../entities/schedules.js';
import { fireColumns, type StoredFire } from './fire-rows.js';

/** Rows of the ledger, the newest first; `before`: only those older than this key. */
export async function listFires(
  transaction: Transaction,
  query: {
    readonly scheduleId: string;
    readonly before: { readonly nominalAt: string; readonly source: string } | null;
    readonly limit: number;
  },
): Promise<StoredFire[]> {
  return transaction.query(
    `SELECT ${fireColumns} FROM fire
     WHERE schedule_id = $1 AND ($2::timestamptz IS NULL OR (nominal_at, source) < ($2, $3))
     ORDER BY nominal_at DESC, source DESC LIMIT $4`,
    [query.scheduleId, query.before?.nominalAt ?? null, query.before?.source ?? null, query.limit],
  );
}

/** Sums of instants by outcome of the schedule's own rows in (from, to]. */
export async function sumOutcomes(
  transaction: Transaction,
  scheduleId: string,
  from: Date,
  to: Date,
): Promise<Readonly<Record<string, number>>> {
  const rows: { outcome: string; instants: string | number }[] = await transaction.query(
    `SELECT outcome, sum(instants) AS instants FROM fire
     WHERE schedule_id = $1 AND source = 'nominal' AND nominal_at > $2 AND nominal_at <= $3 GROUP BY outcome ORDER BY outcome`,
    [scheduleId, from, to],
  );
  return Object.fromEntries(rows.map((row) => [row.outcome, Number(row.instants)]));
}

/** The row of a moment itself, else the newest of the schedule's own whose stretch it lies in; null: none stands for it. */
export async function findFireAt(transaction: Transaction, scheduleId: string, at: Date): Promise<StoredFire | null> {
  const rows: StoredFire[] = await transaction.query(
    `SELECT * FROM (
       (SELECT ${fireColumns} FROM fire WHERE schedule_id = $1 AND nominal_at = $2 ORDER BY source = 'nominal' DESC LIMIT 1)
       UNION ALL
       (SELECT ${fireColumns} FROM fire WHERE schedule_id = $1 AND nominal_at < $2 AND source = 'nominal'
        ORDER BY nominal_at DESC LIMIT 1)) AS f
     WHERE "nominalAt" = $2 OR "lastNominalAt" >= $2 ORDER BY "nominalAt" DESC LIMIT 1`,
    [scheduleId, at],
  );
  return rows[0] ?? null;
}

export interface TakenInstant {
  readonly nominalAt: Date;
  readonly source: FireSource;
  /** It has had a run, or waits for one; otherwise a backfill may take it again. */
  readonly isTaken: boolean;
}

/** What the ledger has for instants of a range [from, to), but for stretches. */
export async function listTaken(
  transaction: Transaction,
  scheduleId: string,
  from: Date,
  to: Date,
): Promise<TakenInstant[]> {
  return transaction.query(
    `SELECT nominal_at AS "nominalAt", source, run_id IS NOT NULL OR outcome IN ('queued', 'deferred') AS "isTaken" FROM fire
     WHERE schedule_id = $1 AND nominal_at >= $2 AND nominal_at < $3 AND source IN ('nominal', 'backfill')`,
    [scheduleId, from, to],
  );
}

/** A backfill takes the place of an earlier one of the same instant that came to no run. */
export async function deleteVainBackfills(
  transaction: Transaction,
  scheduleId: string,
  instants: readonly string[],
): Promise<void> {
  await transaction.query(
    `DELETE FROM fire WHERE schedule_id = $1 AND nominal_at = ANY ($2::timestamptz[]) AND source = 'backfill'
       AND run_id IS NULL AND outcome NOT IN ('queued', 'deferred')`,
    [scheduleId, instants],
  );
}

/** Counts anew which fires of a schedule wait. */
export async function countWaiting(transaction: Transaction, scheduleId: string): Promise<void> {
  await transaction.query(
    `UPDATE schedule s SET waiting = w.waiting, queued = w.queued
     FROM (SELECT count(*)::integer AS waiting, (count(*) FILTER (WHERE outcome = 'queued'))::integer AS queued
           FROM fire WHERE schedule_id = $1 AND outcome IN ('queued', 'deferred')) AS w
     WHERE s.id = $1`,
    [scheduleId],
  );
}
