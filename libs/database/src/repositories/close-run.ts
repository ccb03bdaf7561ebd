import { endedRunStates, type TargetCounts } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import type { StoredError } from '../entities/runs.js';
import { storableJson } from '../storable-json.js';
import { endCallUndos } from './call-undo.js';
import { freeAtEnd } from './capacity-end.js';
import { stoppedRolloutError } from './failure-limit.js';
import { wakeRun } from './outbox.js';
import { reopenCallers } from './run-closures.js';
import { appendEntries, lockRun, saveRunWith, type LockedRun } from './run-entries.js';
import { repeatableEffects } from './run-lanes.js';
import { wakeAssetWaiters } from './wake-waiters.js';

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
): Promise<RunEnd> {
  const run = await lockRun(transaction, runId);
  if (endedRunStates.includes(run.state)) return { ended: false, counts: run.counts, scheduleId: undefined };
  const { lost, open, hasCapacity } = await endOpen(transaction, run, state, stoppedRolloutError(run, error), outcome);
  for (const { was, now } of open) {
    run.counts[was] -= 1;
    run.counts[now] += 1;
  }
  await appendEntries(transaction, run, [
    ...lost.map(({ assetId, step, now }) => ({ kind: 'step-ended', assetId, step, data: { state: now } })),
    ...open.map(({ assetId, now }) => ({ kind: 'target-ended', assetId, data: { state: now } })),
  ]);
  const lostSteps = lost.map(({ step }) => step);
  if (hasCapacity) await freeAtEnd(transaction, run, lostSteps);
  const rolledBack = outcome.rollback === undefined ? {} : { rollback: outcome.rollback };
  await appendEntries(transaction, run, [{ kind: 'run-ended', data: { state, error, ...rolledBack } }]);
  const { parentRunId, parentPath, scheduleId, mayUndo, hasWaiters } = await saveEnd(
    transaction,
    run,
    { state, error },
    outcome,
  );
  if (mayUndo) await endCallUndos(transaction, runId);
  if (hasWaiters) await wakeAssetWaiters(transaction, runId, null);
  if (parentRunId !== null) {
    await reopenCallers(transaction, runId);
    await wakeRun(transaction, parentRunId, parentPath ?? '');
  }
  return { ended: true, counts: run.counts, scheduleId };
}

/** What came of a call of `endRun`. */
export interface RunEnd {
  /** False: it had ended before. */
  readonly ended: boolean;
  readonly counts: TargetCounts;
  /** The schedule whose run it is; null: of none; undefined: it had ended before. */
  readonly scheduleId: string | null | undefined;
}

interface LostStep {
  readonly what: 'step';
  readonly assetId: string;
  readonly step: string;
  readonly now: 'cancelled' | 'unknown';
}

interface OpenTarget {
  readonly what: 'target';
  readonly assetId: string;
  readonly was: 'pending' | 'running';
  readonly now: 'succeeded' | 'skipped' | 'cancelled' | 'unknown';
}

/** Ends the steps and targets of a run that are open, and tells whether it has asked for capacity. */
async function endOpen(
  transaction: Transaction,
  run: LockedRun,
  state: EndedRunState,
  stopped: StoredError | null,
  { isComplete }: RunOutcome,
): Promise<{ lost: readonly LostStep[]; open: readonly OpenTarget[]; hasCapacity: boolean }> {
  const rows: (LostStep | OpenTarget | { readonly what: 'capacity' })[] = await transaction.query(
    // A step that is lost here is still 'started' to the rest of the statement.
    `WITH lost AS (
       UPDATE run_step SET ended_at = clock_timestamp(), state = CASE WHEN effect = ANY ($2) THEN 'cancelled' ELSE 'unknown' END,
         error = jsonb_build_object('code', CASE WHEN effect = ANY ($2) THEN 'cancelled' ELSE 'effect-uncertain' END,
           'message', 'The run ended while this step had no recorded end.' ||
             CASE WHEN detached THEN ' Its command may still run on the host.' ELSE '' END)
       WHERE run_id = $1 AND state = 'started' RETURNING asset_id, step, state),
     open AS (SELECT asset_id, state FROM run_target WHERE run_id = $1 AND state IN ('pending', 'running') FOR UPDATE),
     uncertain AS (SELECT asset_id FROM lost WHERE state = 'unknown'),
     ended AS (
       UPDATE run_target t SET lane = NULL, lane_epoch = NULL, is_parked = false, ended_at = clock_timestamp(),
         state = CASE WHEN t.asset_id IN (SELECT asset_id FROM uncertain) THEN 'unknown'
                      WHEN $5 THEN CASE WHEN EXISTS (SELECT 1 FROM run_step s WHERE s.run_id = $1 AND s.asset_id = t.asset_id
                        AND s.state <> 'skipped') THEN 'succeeded' ELSE 'skipped' END
                      WHEN $3 = 'failed' AND open.state = 'pending' AND $4::jsonb IS NULL THEN 'skipped' ELSE 'cancelled' END,
         error = CASE WHEN t.asset_id IN (SELECT asset_id FROM uncertain) THEN t.error
                      WHEN $5 THEN NULL ELSE coalesce($4::jsonb, t.error) END
       FROM open WHERE t.run_id = $1 AND t.asset_id = open.asset_id
       RETURNING t.asset_id, open.state AS was, t.state AS now)
     SELECT 'step' AS what, asset_id AS "assetId", step, NULL AS was, state AS now FROM lost
     UNION ALL SELECT 'target', asset_id, NULL, was, now FROM ended
     UNION ALL SELECT 'capacity', NULL, NULL, NULL, NULL WHERE EXISTS (SELECT 1 FROM capacity_request WHERE run_id = $1)`,
    [run.id, [...repeatableEffects], state, stopped === null ? null : JSON.stringify(stopped), isComplete],
  );
  return {
    lost: rows.filter((row) => row.what === 'step'),
    open: rows.filter((row) => row.what === 'target'),
    hasCapacity: rows.some((row) => row.what === 'capacity'),
  };
}

interface EndedRow {
  readonly parentRunId: string | null;
  readonly parentPath: string | null;
  readonly scheduleId: string | null;
  /** It has called runs, or takes one up that may have: one of them may be in the middle of being undone. */
  readonly mayUndo: boolean;
  /** Somebody waits for an asset. */
  readonly hasWaiters: boolean;
}

/** Writes the end into the run's row, and wakes its readers. */
function saveEnd(
  transaction: Transaction,
  run: LockedRun,
  { state, error }: { readonly state: EndedRunState; readonly error: StoredError | null },
  { outputs, summary, rollback, undo }: RunOutcome,
): Promise<EndedRow> {
  return saveRunWith<EndedRow>(transaction, run, {
    set: `state = $5, error = $6, outputs = $7, summary = $8, rollback = $9, undo = $10, ended_at = clock_timestamp()`,
    values: [
      state,
      error === null ? null : JSON.stringify(error),
      outputs === null ? null : JSON.stringify(storableJson(outputs)),
      summary,
      rollback === undefined ? null : JSON.stringify(rollback),
      undo === undefined ? null : JSON.stringify(storableJson(undo)),
    ],
    returning: `parent_run_id AS "parentRunId", parent_path AS "parentPath", schedule_id AS "scheduleId",
       continued_how = 'resume' OR EXISTS (SELECT 1 FROM run c WHERE c.parent_run_id = run.id) AS "mayUndo",
       EXISTS (SELECT 1 FROM asset_lock_wait) AS "hasWaiters", pg_notify('fettle_run', id::text)`,
  });
}
