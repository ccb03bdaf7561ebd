import type { CheckResult } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import type { StoredError } from '../entities/runs.js';
import { storableJson } from '../storable-json.js';
import { updateRows } from '../update-rows.js';

export interface PlanCheckRow {
  readonly id: string;
  readonly space: string;
  readonly runbook: string;
  readonly planDigest: string;
  /** What the plan is made of again. */
  readonly subject: unknown;
  readonly principalId: string | null;
  readonly state: 'waiting' | 'running' | 'ended' | 'failed';
  readonly error: StoredError | null;
  readonly total: number | null;
  readonly createdAt: Date;
  readonly endedAt: Date | null;
  readonly counts: Readonly<Partial<Record<CheckResult, number>>>;
}

export interface PlanCheckResultRow {
  readonly position: number;
  readonly path: string;
  readonly uses: string;
  readonly asset: string | null;
  readonly result: CheckResult;
  readonly summary: string;
  readonly diff: string | null;
}

const KEPT_DAYS = 7;
/** Old checks that one call removes at most. */
const MAX_REMOVED = 20;

export async function insertPlanCheck(
  transaction: Transaction,
  row: Pick<PlanCheckRow, 'id' | 'space' | 'runbook' | 'planDigest' | 'subject' | 'principalId'>,
): Promise<void> {
  const { id, space, runbook, planDigest, subject, principalId } = row;
  await transaction.query(
    `INSERT INTO plan_check (id, space, runbook, plan_digest, subject, principal_id) VALUES ($1, $2, $3, $4, $5, $6)`,
    [id, space, runbook, planDigest, JSON.stringify(subject), principalId],
  );
  await transaction.query(
    `DELETE FROM plan_check WHERE id IN (
       SELECT id FROM plan_check WHERE created_at < now() - $1 * interval '1 day' ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)`,
    [KEPT_DAYS, MAX_REMOVED],
  );
}

export async function findPlanCheck(transaction: Transaction, id: string): Promise<PlanCheckRow | null> {
  const rows: PlanCheckRow[] = await transaction.query(
    `SELECT c.id, c.space, c.runbook, c.plan_digest AS "planDigest", c.subject, c.principal_id AS "principalId", c.state, c.error,
       c.total, c.created_at AS "createdAt", c.ended_at AS "endedAt", coalesce((
         SELECT jsonb_object_agg(g.result, g.n) FROM (
           SELECT result, count(*) AS n FROM plan_check_result WHERE check_id = c.id GROUP BY result) g), '{}') AS counts
     FROM plan_check c WHERE c.id = $1`,
    [id],
  );
  return rows[0] ?? null;
}

/** A worker takes it up, perhaps after another one; false where it has ended. */
export async function beginPlanCheck(transaction: Transaction, id: string, total: number): Promise<boolean> {
  const rows = await updateRows<{ id: string }>(
    transaction,
    `UPDATE plan_check SET state = 'running', total = $2 WHERE id = $1 AND ended_at IS NULL RETURNING id`,
    [id, total],
  );
  return rows.length > 0;
}

/** Ends it once; null: it came to its end. */
export async function endPlanCheck(transaction: Transaction, id: string, error: StoredError | null): Promise<void> {
  await transaction.query(
    `UPDATE plan_check SET state = $2, error = $3, ended_at = clock_timestamp() WHERE id = $1 AND ended_at IS NULL`,
    [id, error === null ? 'ended' : 'failed', storableJson(error)],
  );
}

/** What was found; the first answer for a step on a target stands. */
export async function saveCheckResults(
  transaction: Transaction,
  id: string,
  results: readonly PlanCheckResultRow[],
): Promise<void> {
  if (results.length === 0) return;
  await transaction.query(
    `INSERT INTO plan_check_result (check_id, position, path, uses, asset, result, summary, diff)
     SELECT $1, r.position, r.path, r.uses, r.asset, r.result, r.summary, r.diff FROM jsonb_to_recordset($2::jsonb)
       AS r (position integer, path text, uses text, asset text, result text, summary text, diff text)
     ON CONFLICT (check_id, position) DO NOTHING`,
    [id, JSON.stringify(results.map((row) => storableJson(row)))],
  );
}

export async function readCheckedPositions(transaction: Transaction, id: string): Promise<ReadonlySet<number>> {
  const rows: { position: number }[] = await transaction.query(
    `SELECT position FROM plan_check_result WHERE check_id = $1`,
    [id],
  );
  return new Set(rows.map((row) => row.position));
}

/** In the order of the plan, after a position. */
export function listCheckResults(
  transaction: Transaction,
  id: string,
  after: number,
  limit: number,
): Promise<PlanCheckResultRow[]> {
  return transaction.query(
    `SELECT position, path, uses, asset, result, summary, diff FROM plan_check_result
     WHERE check_id = $1 AND position > $2 ORDER BY position LIMIT $3`,
    [id, after, limit],
  );
}
