import type { ApprovalState, ApprovalStep, PlanDifference } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import { updateRows } from '../update-rows.js';
import type { TargetCondition } from './run-start.js';

/** What a step asks for, as it stood when it asked. */
export type ApprovalRule = ApprovalStep['approval'];

export interface ExcludedPrincipal {
  readonly id: string;
  readonly name: string;
  readonly why: string;
}

export interface StoredDecision {
  readonly principal: string;
  readonly decision: 'approve' | 'reject';
  readonly reason: string | null;
  readonly at: string;
}

export interface ApprovalRow {
  readonly id: string;
  readonly runId: string;
  readonly space: string;
  readonly runbook: string;
  readonly requestedBy: string;
  readonly targetCount: number;
  readonly path: string;
  readonly round: number;
  /** By the database's clock: one whose time is over is expired, whether or not anybody has noted it. */
  readonly state: ApprovalState;
  /** As it is noted. */
  readonly notedState: ApprovalState;
  readonly message: string | null;
  readonly rule: ApprovalRule;
  readonly excluded: readonly ExcludedPrincipal[];
  readonly planDigest: string;
  readonly differences: readonly PlanDifference[] | null;
  readonly askedAt: Date;
  readonly escalatesAt: Date | null;
  readonly isEscalated: boolean;
  readonly isEscalationNoted: boolean;
  readonly expiresAt: Date;
  readonly endedAt: Date | null;
  /** Until the next moment at which something changes by itself; null: it does not. */
  readonly nextMs: number | null;
  readonly decisions: readonly StoredDecision[];
  /** People who have approved, have not rejected, and have not been revoked. */
  readonly approvals: number;
}

const columns = `a.id, a.run_id AS "runId", a.space, r.runbook, p.name AS "requestedBy", r.target_count AS "targetCount", a.path, a.round,
  CASE WHEN a.state = 'open' AND a.expires_at <= clock_timestamp() THEN 'expired' ELSE a.state END AS state,
  a.state AS "notedState", a.message, a.rule, a.excluded, a.plan_digest AS "planDigest", a.differences, a.asked_at AS "askedAt",
  a.escalates_at AS "escalatesAt", coalesce(a.escalates_at <= clock_timestamp(), false) AS "isEscalated",
  a.escalated_at IS NOT NULL AS "isEscalationNoted", a.expires_at AS "expiresAt", a.ended_at AS "endedAt",
  CASE WHEN a.state = 'open' THEN greatest(0, extract(epoch FROM least(a.expires_at,
    CASE WHEN a.escalated_at IS NULL THEN a.escalates_at END) - clock_timestamp()) * 1000)::float8 END AS "nextMs",
  coalesce((SELECT jsonb_agg(jsonb_build_object('principal', d.name, 'decision', d.decision, 'reason', d.reason,
      'at', to_char(d.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) ORDER BY d.at, d.name)
    FROM (SELECT q.name, d.decision, d.reason, d.at FROM approval_decision d JOIN principal q ON q.id = d.principal_id
      WHERE d.approval_id = a.id) d), '[]') AS decisions,
  (SELECT count(*) FROM approval_decision d JOIN principal q ON q.id = d.principal_id
    WHERE d.approval_id = a.id AND d.decision = 'approve' AND q.revoked_at IS NULL AND NOT EXISTS (
      SELECT 1 FROM approval_decision n
      WHERE n.approval_id = a.id AND n.principal_id = d.principal_id AND n.decision = 'reject')) AS approvals`;
const source = `approval a JOIN run r ON r.id = a.run_id JOIN principal p ON p.id = r.requested_by`;

export async function findApproval(transaction: Transaction, id: string): Promise<ApprovalRow | null> {
  const rows: ApprovalRow[] = await transaction.query(`SELECT ${columns} FROM ${source} WHERE a.id = $1`, [id]);
  return rows[0] ?? null;
}

/** The round that a step asks in now, or asked in last; null: it has not asked. Its writers hold the run's lock. */
export async function findLastRound(
  transaction: Transaction,
  step: { readonly runId: string; readonly path: string },
): Promise<ApprovalRow | null> {
  const rows: ApprovalRow[] = await transaction.query(
    `SELECT ${columns} FROM ${source} WHERE a.run_id = $1 AND a.path = $2 ORDER BY a.round DESC LIMIT 1`,
    [step.runId, step.path],
  );
  return rows[0] ?? null;
}

export interface NewApproval {
  readonly id: string;
  readonly runId: string;
  readonly space: string;
  readonly path: string;
  readonly round: number;
  readonly message: string | null;
  readonly rule: ApprovalRule;
  readonly excluded: readonly ExcludedPrincipal[];
  readonly planDigest: string;
  readonly expiresMs: number;
  /** Null: it does not escalate. */
  readonly escalatesMs: number | null;
}

export async function insertApproval(transaction: Transaction, approval: NewApproval): Promise<void> {
  await transaction.query(
    `INSERT INTO approval (id, run_id, space, path, round, message, rule, excluded, plan_digest, expires_at, escalates_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, clock_timestamp() + $10 * interval '1 millisecond',
       clock_timestamp() + $11::float8 * interval '1 millisecond')`,
    [
      approval.id,
      approval.runId,
      approval.space,
      approval.path,
      approval.round,
      approval.message,
      JSON.stringify(approval.rule),
      JSON.stringify(approval.excluded),
      approval.planDigest,
      approval.expiresMs,
      approval.escalatesMs,
    ],
  );
}

/** Ends a round, or takes an approved one back; false: it had ended otherwise. */
export async function endApproval(
  transaction: Transaction,
  id: string,
  state: Exclude<ApprovalState, 'open'>,
  differences: readonly PlanDifference[] | null = null,
): Promise<boolean> {
  const rows = await updateRows(
    transaction,
    `UPDATE approval SET state = $2, differences = $3, ended_at = clock_timestamp()
     WHERE id = $1 AND (state = 'open' OR (state = 'approved' AND $2 IN ('drifted', 'cancelled'))) RETURNING id`,
    [id, state, differences === null ? null : JSON.stringify(differences)],
  );
  return rows.length > 0;
}

export async function noteEscalation(transaction: Transaction, id: string): Promise<void> {
  await transaction.query(
    `UPDATE approval SET escalated_at = clock_timestamp() WHERE id = $1 AND escalated_at IS NULL`,
    [id],
  );
}

/** False: the principal has decided the same before. */
export async function insertDecision(
  transaction: Transaction,
  decision: {
    readonly approvalId: string;
    readonly principalId: string;
    readonly decision: 'approve' | 'reject';
    readonly reason: string | null;
  },
): Promise<boolean> {
  const { approvalId, principalId, decision: what, reason } = decision;
  const rows: unknown[] = await transaction.query(
    `INSERT INTO approval_decision (approval_id, principal_id, decision, reason) VALUES ($1, $2, $3, $4)
     ON CONFLICT DO NOTHING RETURNING 1`,
    [approvalId, principalId, what, reason],
  );
  return rows.length > 0;
}

/** Whether a run asks for anything now. */
export async function hasOpenRound(transaction: Transaction, runId: string): Promise<boolean> {
  const rows: unknown[] = await transaction.query(
    `SELECT 1 FROM approval WHERE run_id = $1 AND state = 'open' LIMIT 1`,
    [runId],
  );
  return rows.length > 0;
}

/** First number of a parameter in the condition that `listApprovalRows` takes. */
export const APPROVAL_CONDITION_FIRST_PARAMETER = 6;

/** Newest first, before the one given. With a condition (on alias `a`) only of runs that have targets, all of which fulfil it. */
export async function listApprovalRows(
  transaction: Transaction,
  query: {
    readonly space: string;
    readonly before: string | null;
    readonly limit: number;
    readonly state: ApprovalState | null;
    readonly runId: string | null;
    readonly targetsWithin: TargetCondition | null;
  },
): Promise<ApprovalRow[]> {
  const within =
    query.targetsWithin === null
      ? 'true'
      : `l."targetCount" > 0 AND NOT EXISTS (
           SELECT 1 FROM run_target t JOIN asset a ON a.id = t.asset_id
           WHERE t.run_id = l."runId" AND (${query.targetsWithin.sql}) IS NOT TRUE)`;
  return transaction.query(
    `SELECT * FROM (SELECT ${columns} FROM ${source}
       WHERE a.space = $1 AND ($2::uuid IS NULL OR a.id < $2) AND ($4::uuid IS NULL OR a.run_id = $4)
         AND ($3::text IS NULL OR a.state = CASE WHEN $3 = 'expired' THEN a.state ELSE $3 END)) l
     WHERE ($3::text IS NULL OR l.state = $3) AND ${within}
     ORDER BY l.id DESC LIMIT $5`,
    [
      query.space,
      query.before,
      query.state,
      query.runId,
      query.limit,
      ...(query.targetsWithin === null ? [] : query.targetsWithin.parameters),
    ],
  );
}

const below = `WITH RECURSIVE below AS (
  SELECT id FROM run WHERE id = $1
  UNION ALL SELECT c.id FROM run c JOIN below b ON c.parent_run_id = b.id)`;

/** What a run and those that it called, however deep, ask for now. */
export async function listOpenApprovals(transaction: Transaction, runId: string): Promise<ApprovalRow[]> {
  return transaction.query(
    `${below}
     SELECT ${columns} FROM ${source} WHERE a.run_id IN (SELECT id FROM below) AND a.state = 'open' ORDER BY a.id LIMIT 100`,
    [runId],
  );
}

/** What they have asked before: the last ones, oldest first. */
export async function listEndedApprovals(
  transaction: Transaction,
  runId: string,
  limit: number,
): Promise<ApprovalRow[]> {
  const rows: ApprovalRow[] = await transaction.query(
    `${below}
     SELECT ${columns} FROM ${source} WHERE a.run_id IN (SELECT id FROM below) AND a.state <> 'open' ORDER BY a.id DESC LIMIT $2`,
    [runId, limit],
  );
  return rows.reverse();
}

/**
 * Whose run it is: who requested it or one of the runs above it, and whoever applied the newest version of the schedule that started
 * it.
 */
export async function listRunOwners(transaction: Transaction, runId: string): Promise<ExcludedPrincipal[]> {
  return transaction.query(
    `WITH RECURSIVE above AS (
       SELECT id, parent_run_id, requested_by, schedule_id FROM run WHERE id = $1
       UNION ALL SELECT r.id, r.parent_run_id, r.requested_by, r.schedule_id FROM run r JOIN above a ON r.id = a.parent_run_id)
     SELECT DISTINCT ON (p.id) p.id, p.name, o.why FROM (
       SELECT requested_by AS id, p.name || ' requested the run' AS why, 1 AS rank FROM above JOIN principal p ON p.id = requested_by
       UNION SELECT s.created_by, p.name || ' applied the schedule "' || s.name || '", which started the run', 2
         FROM above a JOIN schedule s ON s.id = a.schedule_id JOIN principal p ON p.id = s.created_by) o
     JOIN principal p ON p.id = o.id ORDER BY p.id, o.rank`,
    [runId],
  );
}

/** What a plan of the run is made of. */
export interface PlannedRunRow {
  readonly runId: string;
  readonly space: string;
  readonly runbook: string;
  readonly version: string;
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly closure: Readonly<Record<string, string>> | null;
  /** The stored document with defaults. */
  readonly document: unknown;
}

export async function findPlannedRun(transaction: Transaction, runId: string): Promise<PlannedRunRow | null> {
  const rows: PlannedRunRow[] = await transaction.query(
    `SELECT r.id AS "runId", r.space, r.runbook, r.version, r.inputs, r.closure, v.parsed AS document
     FROM run r JOIN document_version v ON v.id = r.version_id WHERE r.id = $1`,
    [runId],
  );
  return rows[0] ?? null;
}
