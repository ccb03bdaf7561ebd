import { endedRunStates, type RunState, type TargetCounts } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import { storableJson } from '../storable-json.js';
import { updateRows } from '../update-rows.js';
import type { StoredError } from '../entities/runs.js';
import { readRootRun } from './asset-locks.js';
import type { StoredRunCalendar } from './run-closures.js';
import { freeAtEnd } from './capacity-end.js';
import { endCallUndos } from './call-undo.js';
import { stoppedRolloutError } from './failure-limit.js';
import { appendEntries, lockRun, saveLockedRun } from './run-entries.js';
import { repeatableEffects } from './run-lanes.js';
import { wakeRun } from './outbox.js';
import { reopenCallers } from './run-closures.js';
import { wakeAssetWaiters } from './wake-waiters.js';
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
  return { ...row, resumes, rootRunId: await readRootRun(transaction, runId) };
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
 * The first act of a run's workflow: takes the row from queued to running. True also when this very workflow had taken it
 * before (the activity was repeated); false when the run ended or belongs to another workflow execution. The run's timer starts
 * now, however long ago it was accepted, and so does its deadline.
 */
export async function claimRun(
  transaction: Transaction,
  runId: string,
  workflowRunId: string,
  engineVersion: string | null = null,
  workerBuild: string | null = null,
): Promise<boolean> {
  const run = await lockRun(transaction, runId);
  if (run.state === 'running') {
    const rows: unknown[] = await transaction.query(`SELECT 1 FROM run WHERE id = $1 AND workflow_run_id = $2`, [
      runId,
      workflowRunId,
    ]);
    return rows.length > 0;
  }
  if (run.state !== 'queued') return false;
  await transaction.query(
    `UPDATE run SET state = 'running', workflow_run_id = $2, started_at = clock_timestamp(),
       engine_version = $3, worker_build = $4, deadline_at = clock_timestamp() + (deadline_at - created_at) WHERE id = $1`,
    [runId, workflowRunId, engineVersion, workerBuild],
  );
  await appendEntries(transaction, run, [{ kind: 'run-started' }]);
  await saveLockedRun(transaction, run);
  return true;
}

/** What a run leaves besides its state. */
export interface RunOutcome {
  /** The way was gone to its end: targets that are still open have come through. */
  readonly isComplete: boolean;
  readonly outputs: Readonly<Record<string, unknown>> | null;
  readonly summary: string | null;
  /** Absent: there was none. */
  readonly rollback?: { readonly undone: readonly string[]; readonly failed: readonly string[] } | undefined;
  /** Of a called run: what its caller may still undo, as the engine lists it; absent: nobody called it, or it was lost. */
  readonly undo?: readonly unknown[] | undefined;
}

const noOutcome: RunOutcome = { isComplete: false, outputs: null, summary: null };

export type EndedRunState = 'succeeded' | 'failed' | 'cancelled' | 'timed-out';

/**
 * Ends a run once: open targets that never started are skipped (or cancelled with the run, or by the limit of failures), started
 * ones are cancelled. A step whose *started* has no end is cancelled where its effect does no harm, and `unknown` with its target
 * where it may have changed something. Where the way was gone to its end, open targets have succeeded, or are skipped where nothing
 * was executed on them. The run that called this one is woken. Ending an ended run changes nothing.
 */
export async function endRun(
  transaction: Transaction,
  runId: string,
  state: EndedRunState,
  error: StoredError | null,
  outcome: RunOutcome = noOutcome,
): Promise<{ ended: boolean; counts: TargetCounts }> {
  const run = await lockRun(transaction, runId);
  if (endedRunStates.includes(run.state)) return { ended: false, counts: run.counts };
  const lost: { asset_id: string; step: string; state: 'cancelled' | 'unknown' }[] = await updateRows(
    transaction,
    `UPDATE run_step SET ended_at = clock_timestamp(), state = CASE WHEN effect = ANY ($2) THEN 'cancelled' ELSE 'unknown' END,
       error = jsonb_build_object('code', CASE WHEN effect = ANY ($2) THEN 'cancelled' ELSE 'effect-uncertain' END,
         'message', 'The run ended while this step had no recorded end.' ||
           CASE WHEN detached THEN ' Its command may still run on the host.' ELSE '' END)
     WHERE run_id = $1 AND state = 'started' RETURNING asset_id, step, state`,
    [runId, [...repeatableEffects]],
  );
  const uncertain = lost.filter((row) => row.state === 'unknown');
  const stopped = stoppedRolloutError(run, error);
  const open: {
    asset_id: string;
    was: 'pending' | 'running';
    now: 'succeeded' | 'skipped' | 'cancelled' | 'unknown';
  }[] = await updateRows(
    transaction,
    `WITH open AS (SELECT asset_id, state FROM run_target WHERE run_id = $1 AND state IN ('pending', 'running') FOR UPDATE)
     UPDATE run_target t SET lane = NULL, lane_epoch = NULL, is_parked = false, ended_at = clock_timestamp(),
       state = CASE WHEN t.asset_id = ANY ($3) THEN 'unknown'
                    WHEN $5 THEN CASE WHEN EXISTS (SELECT 1 FROM run_step s WHERE s.run_id = $1 AND s.asset_id = t.asset_id
                      AND s.state NOT IN ('started', 'skipped')) THEN 'succeeded' ELSE 'skipped' END
                    WHEN $2 = 'failed' AND open.state = 'pending' AND $4::jsonb IS NULL THEN 'skipped' ELSE 'cancelled' END,
       error = CASE WHEN t.asset_id = ANY ($3) THEN t.error WHEN $5 THEN NULL ELSE coalesce($4::jsonb, t.error) END
     FROM open WHERE t.run_id = $1 AND t.asset_id = open.asset_id
     RETURNING t.asset_id, open.state AS was, t.state AS now`,
    [
      runId,
      state,
      uncertain.map((row) => row.asset_id),
      stopped === null ? null : JSON.stringify(stopped),
      outcome.isComplete,
    ],
  );
  for (const row of open) {
    run.counts[row.was] -= 1;
    run.counts[row.now] += 1;
  }
  await appendEntries(transaction, run, [
    ...lost.map((row) => ({ kind: 'step-ended', assetId: row.asset_id, step: row.step, data: { state: row.state } })),
    ...open.map((row) => ({ kind: 'target-ended', assetId: row.asset_id, data: { state: row.now } })),
  ]);
  await freeAtEnd(
    transaction,
    run,
    lost.map((row) => row.step),
  );
  const rolledBack = outcome.rollback === undefined ? {} : { rollback: outcome.rollback };
  await appendEntries(transaction, run, [{ kind: 'run-ended', data: { state, error, ...rolledBack } }]);
  await saveLockedRun(transaction, run);
  const [ended] = await updateRows<{ parent_run_id: string | null; parent_path: string | null }>(
    transaction,
    `UPDATE run SET state = $2, error = $3, outputs = $4, summary = $5, rollback = $6, undo = $7, ended_at = clock_timestamp() WHERE id = $1
     RETURNING parent_run_id, parent_path`,
    [
      runId,
      state,
      error === null ? null : JSON.stringify(error),
      outcome.outputs === null ? null : JSON.stringify(storableJson(outcome.outputs)),
      outcome.summary,
      outcome.rollback === undefined ? null : JSON.stringify(outcome.rollback),
      outcome.undo === undefined ? null : JSON.stringify(storableJson(outcome.undo)),
    ],
  );
  await endCallUndos(transaction, runId);
  await wakeAssetWaiters(transaction, runId, null);
  if (ended?.parent_run_id) await reopenCallers(transaction, runId);
  if (ended?.parent_run_id) await wakeRun(transaction, ended.parent_run_id, ended.parent_path ?? '');
  return { ended: true, counts: run.counts };
}
