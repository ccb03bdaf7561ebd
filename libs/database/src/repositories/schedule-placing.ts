import type { Transaction } from '../data-source.js';

/** Notes what wakes a schedule, and up to when that has single instants; null: it has a rule, or all that there will be. */
export async function savePlaced(
  transaction: Transaction,
  id: string,
  placed: { readonly wakeId: string; readonly until: string | null },
): Promise<void> {
  await transaction.query(`UPDATE schedule SET wake_id = $2, placed_until = $3 WHERE id = $1`, [
    id,
    placed.wakeId,
    placed.until,
  ]);
}

/**
 * What Temporal was last told to wake schedules by, longer ago than a change takes to commit, and what no schedule is woken by any
 * more.
 */
export async function listLeftWakes(transaction: Transaction, limit: number): Promise<string[]> {
  const rows: { subject: string }[] = await transaction.query(
    `SELECT o.subject FROM outbox o
     WHERE o.kind = 'put-schedule' AND o.sent_at < clock_timestamp() - interval '1 minute'
       AND NOT EXISTS (SELECT 1 FROM schedule s WHERE s.wake_id = o.subject)
       AND NOT EXISTS (SELECT 1 FROM outbox l WHERE l.subject = o.subject AND l.id > o.id) LIMIT $1`,
    [limit],
  );
  return rows.map((row) => row.subject);
}

export interface ScheduleToCompare {
  readonly id: string;
  readonly space: string;
  readonly name: string;
  readonly wakeId: string | null;
}

/**
 * Schedules whose entry in Temporal is to be looked at: not for so long, or whose single instants come to an end. None of which a
 * command to Temporal is on its way. The longest unseen first.
 */
export async function listToCompare(
  transaction: Transaction,
  every: { readonly seenMs: number; readonly placedMs: number },
  without: readonly string[],
  limit: number,
): Promise<ScheduleToCompare[]> {
  return transaction.query(
    `SELECT s.id, s.space, s.name, s.wake_id AS "wakeId" FROM schedule s
     WHERE s.quarantine_reason IS NULL AND s.next_at IS NOT NULL AND s.id <> ALL ($3::uuid[])
       AND (s.compared_at IS NULL OR s.wake_id IS NULL OR s.compared_at < clock_timestamp() - $1 * interval '1 millisecond'
            OR s.placed_until < clock_timestamp() + $2 * interval '1 millisecond')
       AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.subject = s.wake_id AND o.sent_at IS NULL)
     ORDER BY s.compared_at NULLS FIRST LIMIT $4`,
    [every.seenMs, every.placedMs, without, limit],
  );
}

/** Notes that the entry was looked at, and what was found wrong with it; null: nothing. */
export async function saveCompared(transaction: Transaction, id: string, difference: string | null): Promise<void> {
  await transaction.query(
    `UPDATE schedule SET compared_at = clock_timestamp(), differences = differences + ($2::text IS NOT NULL)::integer,
       last_difference = coalesce($2, last_difference) WHERE id = $1`,
    [id, difference],
  );
}

/** Whether a command to Temporal about what wakes a schedule is on its way, or was sent within the last so many milliseconds. */
export async function isPlacing(transaction: Transaction, wakeId: string, sentWithinMs: number): Promise<boolean> {
  const rows: unknown[] = await transaction.query(
    `SELECT 1 FROM outbox WHERE subject = $1
       AND (sent_at IS NULL OR sent_at > clock_timestamp() - $2 * interval '1 millisecond') LIMIT 1`,
    [wakeId, sentWithinMs],
  );
  return rows.length > 0;
}

export interface ScheduleGauges {
  readonly quarantined: number;
  readonly paused: number;
  /** Fires that are queued or deferred. */
  readonly waitingFires: number;
  /** How often Temporal would have done something else than the calendar says. */
  readonly differences: number;
  /** 0: none is late. */
  readonly latestSeconds: number;
}

export async function readScheduleGauges(transaction: Transaction): Promise<ScheduleGauges> {
  const rows: ScheduleGauges[] = await transaction.query(
    `SELECT (count(*) FILTER (WHERE quarantine_reason IS NOT NULL))::integer AS quarantined,
       (count(*) FILTER (WHERE paused_at IS NOT NULL))::integer AS paused,
       coalesce(sum(waiting), 0)::integer AS "waitingFires", coalesce(sum(differences), 0)::integer AS differences,
       greatest(0, coalesce(extract(epoch FROM clock_timestamp() - min(next_at)
         FILTER (WHERE quarantine_reason IS NULL)), 0))::float8 AS "latestSeconds" FROM schedule`,
  );
  return rows[0]!;
}
