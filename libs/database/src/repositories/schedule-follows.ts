import type { RunState } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import { fireColumns, type StoredFire } from './fire-rows.js';

/** Notes whom a schedule follows; from now on where that is another than before. */
export async function saveScheduleAfter(transaction: Transaction, id: string, afterName: string | null): Promise<void> {
  await transaction.query(
    `UPDATE schedule SET after_name = $2, after_from = CASE WHEN $2::text IS NULL THEN NULL
       WHEN after_name IS DISTINCT FROM $2 THEN clock_timestamp() ELSE after_from END
     WHERE id = $1 AND (after_name IS DISTINCT FROM $2)`,
    [id, afterName],
  );
}

/** The end of a run that a schedule follows, to be decided about. */
export interface OpenFollow {
  readonly scheduleId: string;
  readonly runId: string;
}

/** The oldest ends that nobody has decided about, without those of some schedules. */
export async function listOpenFollows(
  transaction: Transaction,
  without: readonly string[],
  limit: number,
): Promise<OpenFollow[]> {
  return transaction.query(
    `SELECT schedule_id AS "scheduleId", run_id AS "runId" FROM schedule_follow
     WHERE decided_at IS NULL AND schedule_id <> ALL ($1::uuid[]) ORDER BY created_at LIMIT $2`,
    [without, limit],
  );
}

export interface FollowedRun {
  readonly state: RunState;
  readonly endedAt: Date;
  /** Name of its schedule. */
  readonly schedule: string;
}

/** Takes the decision for itself: null where it has been made, or there is nothing to follow any more. */
export async function takeFollow(
  transaction: Transaction,
  { scheduleId, runId }: OpenFollow,
): Promise<FollowedRun | null> {
  await transaction.query(`SELECT 1 FROM schedule_follow WHERE schedule_id = $1 AND run_id = $2 FOR UPDATE`, [
    scheduleId,
    runId,
  ]);
  const rows: FollowedRun[] = await transaction.query(
    `WITH taken AS (
       UPDATE schedule_follow SET decided_at = clock_timestamp() WHERE schedule_id = $1 AND run_id = $2 AND decided_at IS NULL
       RETURNING run_id)
     SELECT r.state, r.ended_at AS "endedAt", s.name AS schedule
     FROM taken JOIN run r ON r.id = taken.run_id JOIN schedule s ON s.id = r.schedule_id WHERE r.ended_at IS NOT NULL`,
    [scheduleId, runId],
  );
  return rows[0] ?? null;
}

/** The first millisecond from one on at which the ledger has no row of that source: two runs may end at once. */
export async function freeFireTime(transaction: Transaction, scheduleId: string, from: Date): Promise<Date> {
  const rows: { nominalAt: Date }[] = await transaction.query(
    `SELECT nominal_at AS "nominalAt" FROM fire
     WHERE schedule_id = $1 AND source = 'after' AND nominal_at >= $2 ORDER BY nominal_at LIMIT 1000`,
    [scheduleId, from],
  );
  const taken = new Set(rows.map(({ nominalAt }) => nominalAt.getTime()));
  let ms = from.getTime();
  while (taken.has(ms)) ms += 1;
  return new Date(ms);
}

/** Schedules of a space by name, with the one that each follows. */
export async function listAfters(transaction: Transaction, space: string): Promise<ReadonlyMap<string, string | null>> {
  const rows: { name: string; afterName: string | null }[] = await transaction.query(
    `SELECT name, after_name AS "afterName" FROM schedule WHERE space = $1`,
    [space],
  );
  return new Map(rows.map(({ name, afterName }) => [name, afterName]));
}

/** The newest row of the ledger that nobody asked for: of an instant, or of the end of a run that is followed. */
export async function findNewestFire(transaction: Transaction, scheduleId: string): Promise<StoredFire | null> {
  const rows: StoredFire[] = await transaction.query(
    `SELECT ${fireColumns} FROM fire WHERE schedule_id = $1 AND source IN ('nominal', 'after') ORDER BY nominal_at DESC LIMIT 1`,
    [scheduleId],
  );
  return rows[0] ?? null;
}
