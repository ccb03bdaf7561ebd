import type { Transaction } from '../data-source.js';
import { readQueuePlace, type CapacityShortage } from './capacity-queue.js';

export interface CapacityKeyRow {
  readonly key: string;
  readonly limit: number;
  readonly document: string | null;
}

/** Keys that have a limit or are in use, by name, after the one given. */
export async function listCapacityKeys(
  transaction: Transaction,
  query: { readonly space: string; readonly after: string | null; readonly limit: number },
): Promise<CapacityKeyRow[]> {
  return transaction.query(
    `SELECT k.key, coalesce(l.units, 1) AS "limit", l.document FROM (
       SELECT key FROM capacity_limit WHERE space = $1 UNION SELECT key FROM capacity_want WHERE space = $1) AS k
     LEFT JOIN capacity_limit l ON l.space = $1 AND l.key = k.key
     WHERE $2::text IS NULL OR k.key COLLATE "C" > $2 ORDER BY k.key COLLATE "C" LIMIT $3`,
    [query.space, query.after, query.limit],
  );
}

export async function findCapacityKey(
  transaction: Transaction,
  space: string,
  key: string,
): Promise<CapacityKeyRow | null> {
  const rows: CapacityKeyRow[] = await transaction.query(
    `SELECT $2::text AS key, coalesce(l.units, 1) AS "limit", l.document
     FROM (SELECT 1) AS one LEFT JOIN capacity_limit l ON l.space = $1 AND l.key = $2
     WHERE l.key IS NOT NULL OR EXISTS (SELECT 1 FROM capacity_want WHERE space = $1 AND key = $2)`,
    [space, key],
  );
  return rows[0] ?? null;
}

export interface CapacityPartRow {
  readonly key: string;
  readonly runId: string;
  readonly runbook: string;
  readonly path: string;
  readonly units: number;
  readonly priority: number;
  readonly grantedAt: Date | null;
  readonly createdAt: Date;
  readonly keptUntil: Date | null;
}

/** Who holds and waits for the keys: holders first, then the queue in its order. */
export async function listCapacityParts(
  transaction: Transaction,
  space: string,
  keys: readonly string[],
): Promise<CapacityPartRow[]> {
  return transaction.query(
    `SELECT w.key, w.run_id AS "runId", r.runbook, w.path, w.units, q.priority, q.granted_at AS "grantedAt",
       q.created_at AS "createdAt", q.kept_until AS "keptUntil"
     FROM capacity_want w JOIN capacity_request q ON q.run_id = w.run_id AND q.path = w.path JOIN run r ON r.id = w.run_id
     WHERE w.space = $1 AND w.key = ANY ($2)
     ORDER BY w.key, q.granted_at NULLS LAST, q.priority DESC, q.arrival`,
    [space, keys],
  );
}

export interface RunCapacityRow {
  readonly path: string;
  readonly space: string;
  readonly wants: readonly { readonly key: string; readonly units: number }[];
  readonly since: Date;
  readonly isGranted: boolean;
  /** Null: it does not wait. */
  readonly place: { readonly position: number; readonly waitsFor: readonly CapacityShortage[] } | null;
}

/** What a run holds and waits for; most runs: nothing. */
export async function listRunCapacity(transaction: Transaction, runId: string): Promise<RunCapacityRow[]> {
  const rows: Omit<RunCapacityRow, 'place'>[] = await transaction.query(
    `SELECT q.path, q.space, coalesce(q.granted_at, q.created_at) AS since, q.granted_at IS NOT NULL AS "isGranted",
       coalesce((SELECT jsonb_agg(jsonb_build_object('key', w.key, 'units', w.units) ORDER BY w.key COLLATE "C") FROM capacity_want w
         WHERE w.run_id = q.run_id AND w.path = q.path), '[]') AS wants
     FROM capacity_request q WHERE q.run_id = $1 ORDER BY q.arrival LIMIT 200`,
    [runId],
  );
  const full: RunCapacityRow[] = [];
  for (const row of rows) {
    const { path, space } = row;
    full.push({ ...row, place: row.isGranted ? null : await readQueuePlace(transaction, { runId, path, space }) });
  }
  return full;
}

export interface CapacityGauges {
  readonly holders: number;
  readonly waiting: number;
  /** 0 where nobody waits. */
  readonly oldestWaitSeconds: number;
  readonly assetWaits: number;
}

export async function readCapacityGauges(transaction: Transaction): Promise<CapacityGauges> {
  const rows: CapacityGauges[] = await transaction.query(
    `SELECT count(*) FILTER (WHERE granted_at IS NOT NULL) AS holders, count(*) FILTER (WHERE granted_at IS NULL) AS waiting,
       coalesce(extract(epoch FROM clock_timestamp() - min(created_at) FILTER (WHERE granted_at IS NULL)), 0)::float8
         AS "oldestWaitSeconds",
       (SELECT count(*) FROM asset_lock_wait w JOIN run_target t ON t.run_id = w.run_id AND t.asset_id = w.asset_id
        WHERE t.state IN ('pending', 'running')) AS "assetWaits"
     FROM capacity_request`,
  );
  return rows[0]!;
}
