import type { Transaction } from '../data-source.js';
import { updateRows } from '../update-rows.js';
import { wakeRun } from './outbox.js';

/**
 * One at a time decides about the capacities of a space, from here to the end of the transaction. It comes after the lock of one's
 * own run and is held for milliseconds. Nobody who holds it waits for another run's row, but at the end of a run that calls others or was
 * called: should two wait for each other there, Postgres refuses one, and the sweep or the activity does it again.
 */
export async function lockCapacity(transaction: Transaction, space: string): Promise<void> {
  await transaction.query(`SELECT pg_advisory_xact_lock(hashtextextended($1, 7071))`, [space]);
}

/** Units that are in use or wanted before, those of the request itself included, for each key of each request on some keys. */
const ranked = `
  wanted AS (
    SELECT w.run_id, w.path, w.key, w.units, q.granted_at IS NOT NULL AS granted, q.priority, q.arrival,
      coalesce(l.units, 1) AS key_limit,
      EXISTS (SELECT 1 FROM capacity_want o LEFT JOIN capacity_limit m ON m.space = o.space AND m.key = o.key
        WHERE o.run_id = w.run_id AND o.path = w.path AND o.units > coalesce(m.units, 1)) AS too_much
    FROM capacity_want w JOIN capacity_request q ON q.run_id = w.run_id AND q.path = w.path
      LEFT JOIN capacity_limit l ON l.space = w.space AND l.key = w.key
    WHERE w.space = $1 AND w.key IN (SELECT key FROM touched)),
  ranked AS (
    SELECT wanted.*, sum(units) OVER (PARTITION BY key
      ORDER BY granted DESC, priority DESC, arrival ROWS UNBOUNDED PRECEDING) AS total
    FROM wanted WHERE granted OR NOT too_much)`;

/**
 * Grants what can be granted to those who wait for one of the keys: see `decideGrants` of the runbook room, which this follows in one
 * statement. Nobody else's chances change by it: what was wanted is held now.
 * @returns the runs that got something, to be woken.
 */
async function grantWaiting(
  transaction: Transaction,
  space: string,
  keys: readonly string[],
): Promise<{ runId: string; path: string }[]> {
  return updateRows(
    transaction,
    `WITH candidate AS (
       SELECT DISTINCT w.run_id, w.path FROM capacity_want w JOIN capacity_request q ON q.run_id = w.run_id AND q.path = w.path
       WHERE w.space = $1 AND w.key = ANY ($2) AND q.granted_at IS NULL),
     touched AS (SELECT DISTINCT w.key FROM capacity_want w JOIN candidate c ON c.run_id = w.run_id AND c.path = w.path),
     ${ranked},
     granted AS (
       SELECT r.run_id, r.path FROM ranked r JOIN candidate c ON c.run_id = r.run_id AND c.path = r.path
       GROUP BY r.run_id, r.path HAVING bool_and(r.total <= r.key_limit))
     UPDATE capacity_request q SET granted_at = clock_timestamp() FROM granted
     WHERE q.run_id = granted.run_id AND q.path = granted.path
     RETURNING q.run_id AS "runId", q.path`,
    [space, keys],
  );
}

/** Grants, and wakes the runs that got something: all but the step that asks. */
export async function settleCapacity(
  transaction: Transaction,
  space: string,
  keys: readonly string[],
  asking: { readonly runId: string; readonly path: string } | null,
): Promise<void> {
  if (keys.length === 0) return;
  for (const { runId, path } of await grantWaiting(transaction, space, keys))
    if (runId !== asking?.runId || path !== asking.path) await wakeRun(transaction, runId, capacityWait(path));
}

/** What waits for a step's capacity, in commands of the engine and in wakes. */
export function capacityWait(path: string): string {
  return `${path}#capacity`;
}

/** Who holds units of a key. */
export interface CapacityHolder {
  readonly runId: string;
  readonly runbook: string;
  readonly path: string;
  readonly units: number;
}

export interface CapacityShortage {
  readonly key: string;
  readonly limit: number;
  readonly used: number;
  /** Units that the request wants. */
  readonly units: number;
  readonly holders: readonly CapacityHolder[];
}

export interface QueuePlace {
  /** From 1, among those who want one of the same keys. */
  readonly position: number;
  readonly waitsFor: readonly CapacityShortage[];
}

/** Holders that an answer names for each key: enough to say whom to ask. */
const MAX_HOLDERS = 20;

/** Where a request stands that waits, and for which keys. */
export async function readQueuePlace(
  transaction: Transaction,
  request: { readonly runId: string; readonly path: string; readonly space: string },
): Promise<QueuePlace> {
  const rows: (Omit<CapacityShortage, 'holders'> & { position: number; holders: CapacityHolder[] | null })[] =
    await transaction.query(
      `WITH own AS (SELECT * FROM capacity_request WHERE run_id = $2 AND path = $3),
       touched AS (SELECT key FROM capacity_want WHERE run_id = $2 AND path = $3),
       ${ranked},
       place AS (
         SELECT 1 + count(DISTINCT (w.run_id, w.path)) AS position FROM wanted w, own
         WHERE NOT w.granted AND (w.priority > own.priority OR w.priority = own.priority AND w.arrival < own.arrival))
       SELECT o.key, o.key_limit AS "limit", o.units, place.position,
         (SELECT coalesce(sum(h.units), 0) FROM wanted h WHERE h.key = o.key AND h.granted) AS used,
         (SELECT jsonb_agg(jsonb_build_object('runId', h.run_id, 'runbook', h.runbook, 'path', h.path, 'units', h.units)
            ORDER BY h.arrival) FROM (
            SELECT w.run_id, run.runbook, w.path, w.units, w.arrival FROM wanted w JOIN run ON run.id = w.run_id
            WHERE w.key = o.key AND w.granted ORDER BY w.arrival LIMIT ${MAX_HOLDERS}) h) AS holders
       FROM wanted o CROSS JOIN place LEFT JOIN ranked r ON r.run_id = o.run_id AND r.path = o.path AND r.key = o.key
       WHERE o.run_id = $2 AND o.path = $3 AND (o.units > o.key_limit OR r.total > r.key_limit) ORDER BY o.key COLLATE "C"`,
      [request.space, request.runId, request.path],
    );
  return {
    position: Number(rows[0]?.position ?? 1),
    waitsFor: rows.map(({ key, limit, units, used, holders }) => ({
      key,
      limit,
      units,
      used: Number(used),
      holders: holders ?? [],
    })),
  };
}
