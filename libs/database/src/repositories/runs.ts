import { FettleError, type RunState, type TargetCounts } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import { readRootRun } from './asset-locks.js';
import type { StoredRunCalendar } from './run-closures.js';
import { readResumedRuns } from './token-runs.js';

/** What a worker needs to execute a run. */
export interface RunDefinition {
  readonly runId: string;
  readonly space: string;
  readonly runbook: string;
  readonly state: RunState;
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly targetCount: number;
  readonly maxConcurrency: number;
  /** The stored document with defaults. */
  readonly document: unknown;
  /** It takes up another run, and knows what that one did. */
  readonly isResumed: boolean;
  /** The runs that it takes up, one after the other, the first one first. */
  readonly resumes: readonly string[];
  /** A step of another run called it. */
  readonly isCalled: boolean;
  /** The run at the root of those that called each other; itself where nobody called it. */
  readonly rootRunId: string;
  /** Null: as by default. */
  readonly calendar: StoredRunCalendar | null;
  /** The whole run waits for a calendar before it begins. */
  readonly waitsForOpening: boolean;
}

export async function readRunDefinition(transaction: Transaction, runId: string): Promise<RunDefinition | null> {
  const rows: Omit<RunDefinition, 'rootRunId' | 'resumes'>[] = await transaction.query(
    `SELECT r.id AS "runId", r.space, r.runbook, r.state, r.inputs, r.target_count AS "targetCount",
       r.max_concurrency AS "maxConcurrency", v.parsed AS document, r.memo IS NOT NULL AS "isResumed",
       r.calendar, r.opens_at IS NOT NULL AS "waitsForOpening",
       r.parent_run_id IS NOT NULL AS "isCalled"
     FROM run r JOIN document_version v ON v.id = r.version_id WHERE r.id = $1`,
    [runId],
  );
  const row = rows[0];
  if (!row) return null;
  const resumes = row.isResumed ? await readResumedRuns(transaction, runId) : [];
  return { ...row, resumes, rootRunId: row.isCalled ? await readRootRun(transaction, runId) : runId };
}

/** What a resumed run knows of its own steps; null: it takes up none. */
export async function readMemo(transaction: Transaction, runId: string): Promise<unknown> {
  const rows: { memo: unknown }[] = await transaction.query(`SELECT memo FROM run WHERE id = $1`, [runId]);
  return rows[0]?.memo ?? null;
}

export async function readCounts(transaction: Transaction, runId: string): Promise<TargetCounts> {
  const rows: { counts: TargetCounts }[] = await transaction.query(`SELECT counts FROM run WHERE id = $1`, [runId]);
  return rows[0]!.counts;
}

/**
 * The first act of a run's workflow: takes the row from queued to running, with its entry, and wakes the run's readers, in one statement,
 * which needs no transaction around it. The run's counts also when this very workflow had taken it before (the activity was repeated);
 * null when the run ended or belongs to another workflow execution. The run's timer starts now, however long ago it was accepted, and so
 * does its deadline.
 * @throws FettleError `not-found`
 */
export async function claimRun(
  database: Transaction,
  runId: string,
  workflowRunId: string,
  engineVersion: string | null = null,
  workerBuild: string | null = null,
): Promise<TargetCounts | null> {
  const claimed: { counts: TargetCounts }[] = await database.query(
    `WITH claimed AS (
       UPDATE run SET state = 'running', workflow_run_id = $2, started_at = clock_timestamp(), engine_version = $3, worker_build = $4,
         deadline_at = clock_timestamp() + (deadline_at - created_at), seq = seq + 1
       WHERE id = $1 AND state = 'queued' RETURNING id, seq, counts),
     entry AS (INSERT INTO entry (run_id, seq, at, kind) SELECT id, seq, clock_timestamp(), 'run-started' FROM claimed)
     SELECT counts, pg_notify('fettle_run', id::text) FROM claimed`,
    [runId, workflowRunId, engineVersion, workerBuild],
  );
  if (claimed[0]) return claimed[0].counts;
  const known: { isOwn: boolean; counts: TargetCounts }[] = await database.query(
    `SELECT state = 'running' AND workflow_run_id = $2 AS "isOwn", counts FROM run WHERE id = $1`,
    [runId, workflowRunId],
  );
  if (!known[0]) throw new FettleError({ code: 'not-found', message: `There is no run ${runId}.` });
  return known[0].isOwn ? known[0].counts : null;
}
