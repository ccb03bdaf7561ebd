import type { Transaction } from '../data-source.js';
import type { TargetCondition } from './run-start.js';

/** A plan as it was shown. */
export interface StoredPlan {
  readonly space: string;
  readonly digest: string;
  readonly runbook: string;
  readonly body: unknown;
  readonly createdBy: string;
}

/** Old plans that one call removes at most. */
const MAX_REMOVED = 100;
const KEPT_DAYS = 90;

/** Keeps a plan, or that the same one was made again; those that nobody has seen for 90 days, and that no approval is bound to, go. */
export async function savePlan(transaction: Transaction, plan: StoredPlan): Promise<void> {
  const { space, digest, runbook, body, createdBy } = plan;
  await transaction.query(
    `INSERT INTO plan (space, digest, runbook, body, created_by) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (space, digest) DO UPDATE SET seen_at = clock_timestamp()`,
    [space, digest, runbook, JSON.stringify(body), createdBy],
  );
  await transaction.query(
    `DELETE FROM plan WHERE (space, digest) IN (
       SELECT p.space, p.digest FROM plan p WHERE p.seen_at < now() - $1 * interval '1 day'
         AND NOT EXISTS (SELECT 1 FROM approval a WHERE a.space = p.space AND a.plan_digest = p.digest)
       ORDER BY p.seen_at LIMIT $2 FOR UPDATE SKIP LOCKED)`,
    [KEPT_DAYS, MAX_REMOVED],
  );
}

export async function findPlan(transaction: Transaction, space: string, digest: string): Promise<StoredPlan | null> {
  const rows: StoredPlan[] = await transaction.query(
    `SELECT space, digest, runbook, body, created_by AS "createdBy" FROM plan WHERE space = $1 AND digest = $2`,
    [space, digest],
  );
  return rows[0] ?? null;
}

/** Ids of the assets that a condition selects, as the targets of a run would be, sorted; at most `limit`. */
export async function listSelectedIds(
  transaction: Transaction,
  space: string,
  condition: TargetCondition,
  limit: number,
): Promise<string[]> {
  const rows: { id: string }[] = await transaction.query(
    // $1 keeps the numbering of the parameters that insertTargets has.
    `SELECT a.id FROM asset a
     WHERE $1::text IS NULL AND a.space = $2 AND a.lifecycle <> 'retired' AND (${condition.sql})
     ORDER BY a.id LIMIT ${Math.trunc(limit)}`,
    [null, space, ...condition.parameters],
  );
  return rows.map(({ id }) => id);
}

/** Assets among these that a condition does not allow: their number, and the first names. */
export async function findIdsOutside(
  transaction: Transaction,
  ids: readonly string[],
  space: string,
  condition: TargetCondition,
): Promise<{ count: number; names: readonly string[] }> {
  const rows: { count: number; names: string[] | null }[] = await transaction.query(
    `SELECT count(*) AS count, (array_agg(a.name ORDER BY a.name))[1:5] AS names
     FROM asset a WHERE a.id = ANY ($1) AND a.space = $2 AND (${condition.sql}) IS NOT TRUE`,
    [ids, space, ...condition.parameters],
  );
  return { count: rows[0]!.count, names: rows[0]!.names ?? [] };
}

/** Versions of all credentials of a space by their names. */
export async function listCredentialVersions(
  transaction: Transaction,
  space: string,
): Promise<ReadonlyMap<string, number>> {
  const rows: { name: string; version: number }[] = await transaction.query(
    `SELECT name, version FROM credential WHERE space = $1`,
    [space],
  );
  return new Map(rows.map(({ name, version }) => [name, version]));
}
