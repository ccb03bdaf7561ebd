import type { RunState, StepState, TargetCounts, TargetState } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';

/** What the run itself had come to after an entry. */
export interface RunHeadRow {
  /** The last entry that counts; 0: there is none. */
  readonly seq: number;
  readonly at: Date | null;
  readonly lastSeq: number;
  /** State that the last entry about it tells; null: it was queued. */
  readonly state: RunState | null;
  readonly cancelRequested: boolean;
}

export async function readRunHead(transaction: Transaction, runId: string, at: number): Promise<RunHeadRow> {
  const rows: RunHeadRow[] = await transaction.query(
    `WITH shown AS (SELECT seq, at, kind, data FROM entry WHERE run_id = $1 AND seq <= $2 AND asset_id IS NULL)
     SELECT coalesce(last.seq, 0) AS seq, last.at, (SELECT coalesce(max(seq), 0) FROM entry WHERE run_id = $1) AS "lastSeq",
       (SELECT CASE kind WHEN 'run-started' THEN 'running' WHEN 'run-ended' THEN data->>'state'
                WHEN 'run-waiting-approval' THEN 'waiting-approval' WHEN 'run-queued' THEN 'queued' ELSE 'running' END FROM shown
        WHERE kind IN ('run-queued', 'run-started', 'run-ended', 'run-waiting-approval', 'run-went-on') ORDER BY seq DESC LIMIT 1) AS state,
       EXISTS (SELECT 1 FROM shown WHERE kind = 'cancel-requested') AS "cancelRequested"
     FROM (SELECT 1) AS one
     LEFT JOIN LATERAL (SELECT seq, at FROM entry WHERE run_id = $1 AND seq <= $2 ORDER BY seq DESC LIMIT 1) AS last ON true`,
    [runId, at],
  );
  return rows[0]!;
}

/** Of each step of the run itself the last attempt that had begun, in the order of the first entries. */
export async function listControlStepsAt(
  transaction: Transaction,
  runId: string,
  at: number,
): Promise<{ readonly step: string; readonly attempt: number; readonly state: StepState }[]> {
  return transaction.query(
    `SELECT step, attempt, state FROM (
       SELECT DISTINCT ON (name) name AS step, coalesce((data->>'attempt')::integer, 1) AS attempt,
         CASE WHEN kind IN ('step-started', 'undo-started') THEN 'started' ELSE data->>'state' END AS state,
         min(seq) OVER (PARTITION BY name) AS first
       FROM (SELECT *, step || CASE WHEN kind LIKE 'undo-%' THEN '#undo' ELSE '' END AS name FROM entry
         WHERE run_id = $1 AND seq <= $2 AND asset_id IS NULL AND step IS NOT NULL
           AND kind IN ('step-started', 'step-ended', 'undo-started', 'undo-ended')) AS e
       ORDER BY name, seq DESC) AS last ORDER BY first`,
    [runId, at],
  );
}

export interface TargetAtRow {
  readonly asset: string;
  readonly state: TargetState;
  readonly step: string | null;
  readonly attempt: number | null;
}

/** Each target as the entries up to that number tell. One that had ended when the run began has no entries of its own. */
const targetsAt = `
  SELECT t.asset_name AS asset, t.asset_id, last.step, last.attempt,
    CASE WHEN ended.state IS NOT NULL THEN ended.state WHEN last.step IS NOT NULL THEN 'running'
         WHEN t.state IN ('succeeded', 'skipped') AND NOT EXISTS (
           SELECT 1 FROM entry o WHERE o.run_id = $1 AND o.asset_id = t.asset_id AND o.kind = 'target-ended') THEN t.state
         ELSE 'pending' END AS state
  FROM run_target t
  LEFT JOIN (SELECT DISTINCT ON (asset_id) asset_id, step, coalesce((data->>'attempt')::integer, 1) AS attempt FROM entry
    WHERE run_id = $1 AND seq <= $2 AND asset_id IS NOT NULL AND kind IN ('step-started', 'step-ended')
    ORDER BY asset_id, seq DESC) AS last ON last.asset_id = t.asset_id
  LEFT JOIN (SELECT DISTINCT ON (asset_id) asset_id, data->>'state' AS state FROM entry
    WHERE run_id = $1 AND seq <= $2 AND asset_id IS NOT NULL AND kind = 'target-ended'
    ORDER BY asset_id, seq DESC) AS ended ON ended.asset_id = t.asset_id
  WHERE t.run_id = $1`;

export async function countTargetsAt(
  transaction: Transaction,
  runId: string,
  at: number,
): Promise<{ readonly state: TargetState; readonly count: number }[]> {
  return transaction.query(`SELECT state, count(*) AS count FROM (${targetsAt}) AS t GROUP BY state`, [runId, at]);
}

export async function listTargetsAt(
  transaction: Transaction,
  runId: string,
  at: number,
  limit: number,
): Promise<TargetAtRow[]> {
  return transaction.query(
    `SELECT asset, state, step, attempt FROM (${targetsAt}) AS t ORDER BY asset, asset_id LIMIT ${Math.trunc(limit)}`,
    [runId, at],
  );
}

/** One of two runs that are compared. */
export interface ComparedRun {
  readonly id: string;
  readonly space: string;
  readonly runbook: string;
  readonly version: string;
  readonly state: RunState;
  readonly counts: TargetCounts;
  readonly targetCount: number;
  readonly targetSetDigest: string;
  readonly durationMs: number | null;
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly document: unknown;
}

export async function readComparedRun(transaction: Transaction, runId: string): Promise<ComparedRun> {
  const rows: ComparedRun[] = await transaction.query(
    `SELECT r.id, r.space, r.runbook, r.version, r.state, r.counts, r.target_count AS "targetCount", r.target_set_digest AS "targetSetDigest",
       (extract(epoch FROM r.ended_at - r.started_at) * 1000)::float8 AS "durationMs", r.error, r.inputs, v.parsed AS document
     FROM run r JOIN document_version v ON v.id = r.version_id WHERE r.id = $1`,
    [runId],
  );
  return rows[0]!;
}

/** Targets of either run, those in which they differ first; and how many are the same in both. */
export async function compareTargetRows(
  transaction: Transaction,
  a: string,
  b: string,
  limit: number,
): Promise<{ readonly asset: string; readonly a: TargetState | null; readonly b: TargetState | null }[]> {
  return transaction.query(
    `SELECT coalesce(x.asset_name, y.asset_name) AS asset, x.state AS a, y.state AS b
     FROM (SELECT * FROM run_target WHERE run_id = $1) AS x
     FULL JOIN (SELECT * FROM run_target WHERE run_id = $2) AS y ON y.asset_id = x.asset_id
     WHERE x.state IS DISTINCT FROM y.state ORDER BY 1 LIMIT $3`,
    [a, b, limit],
  );
}

export async function countSameTargets(transaction: Transaction, a: string, b: string): Promise<number> {
  const rows: { count: number }[] = await transaction.query(
    `SELECT count(*) AS count FROM run_target x JOIN run_target y ON y.run_id = $2 AND y.asset_id = x.asset_id AND y.state = x.state
     WHERE x.run_id = $1`,
    [a, b],
  );
  return rows[0]!.count;
}

export interface StepResultRow {
  readonly step: string;
  readonly states: Readonly<Record<string, number>>;
  readonly meanMs: number | null;
}

/** What became of each step, by the last attempt on each target, in the order of their first start. */
export async function listStepResults(transaction: Transaction, runId: string): Promise<StepResultRow[]> {
  return transaction.query(
    `SELECT step, jsonb_object_agg(state, count) AS states, sum(ms) / nullif(sum(ended), 0) AS "meanMs" FROM (
       SELECT step, state, count(*) AS count, count(ended_at) AS ended, min(started_at) AS first,
         sum(extract(epoch FROM ended_at - started_at) * 1000)::float8 AS ms
       FROM (SELECT DISTINCT ON (s.asset_id, s.step, s.phase) s.step || CASE s.phase WHEN 'undo' THEN '#undo' ELSE '' END AS step,
           s.state, s.started_at, s.ended_at
         FROM run_step s WHERE s.run_id = $1 ORDER BY s.asset_id, s.step, s.phase, s.generation DESC) AS last
       GROUP BY step, state) AS by_state
     GROUP BY step ORDER BY min(first), step LIMIT 2000`,
    [runId],
  );
}
