import type { StepState, TargetState } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import type { StoredError } from '../entities/runs.js';
import { storableJson } from '../storable-json.js';
import { appendEntries, appendLogs, notifyRun, saveLockedRun, type LogChunk } from './run-entries.js';
import { lockRunForLane, type JournaledEffect, type LaneClaim } from './run-lanes.js';

/** Which targets of a run are undone: those that ended otherwise than well, those and the open ones, or all. */
export type UndoWhich = 'failed' | 'unfinished' | 'all';

/** The run that rolls back, where it is not the one whose steps are undone but one above it. */
export interface UndoScope {
  readonly runId: string;
}

const statesOf: Readonly<Record<UndoWhich, readonly TargetState[]>> = {
  failed: ['failed', 'cancelled', 'unreachable', 'quarantined', 'unknown'],
  unfinished: ['failed', 'cancelled', 'unreachable', 'quarantined', 'unknown', 'pending', 'running'],
  all: ['failed', 'cancelled', 'unreachable', 'quarantined', 'unknown', 'pending', 'running', 'succeeded', 'skipped'],
};

/** A step that may have had its effect on a target, as its last attempt left it. */
export interface DoneStep {
  readonly assetId: string;
  readonly assetName: string;
  /** As the journal calls it. */
  readonly path: string;
  readonly state: StepState;
  /** When that attempt was begun, also in a run that this one takes up. */
  readonly startedAt: Date | null;
  readonly outputs: Readonly<Record<string, unknown>>;
  readonly error: StoredError | null;
  /** Something of its target could not be undone, or nobody knows of a later step: what was done before that stays. */
  readonly isRollbackIncomplete: boolean;
  /** The last attempt to undo it; null: none was made. */
  readonly undo: { readonly generation: number; readonly state: StepState; readonly effect: JournaledEffect } | null;
}

/** A step of another segment of which nobody knows whether it happened, nor has a person said that it did not: a target goes no further after it, so it is a later one. */
const unknownElsewhere = `EXISTS (
       SELECT 1 FROM run_step x WHERE x.run_id = t.run_id AND x.asset_id = t.asset_id AND x.phase = 'do' AND x.effect <> 'none'
         AND x.state IN ('started', 'unknown') AND coalesce(x.resolution->>'as', '') <> 'not-done' AND x.step <> ALL ($2) AND NOT EXISTS (
           SELECT 1 FROM run_step y WHERE y.run_id = x.run_id AND y.asset_id = x.asset_id AND y.step = x.step AND y.phase = 'do'
             AND y.generation > x.generation))`;

/**
 * Steps of a run that may have to be undone, by target: those of these paths whose action was dispatched. Targets in the order of
 * their ids. With a scope `which` is about how a target stands in the run that rolls back.
 */
export async function readDoneSteps(
  transaction: Transaction,
  runId: string,
  paths: readonly string[],
  { which, scope }: { readonly which: UndoWhich; readonly scope?: UndoScope | undefined },
): Promise<DoneStep[]> {
  const rows: {
    asset_id: string;
    asset_name: string;
    step: string;
    state: StepState;
    started_at: Date | null;
    outputs: Record<string, unknown>;
    error: StoredError | null;
    is_incomplete: boolean;
    undo_generation: number | null;
    undo_state: StepState | null;
    undo_effect: JournaledEffect | null;
  }[] = await transaction.query(
    `SELECT t.asset_id, t.asset_name, done.step, done.state, done.started_at, t.outputs, t.error,
       coalesce(t.rollback = 'incomplete' OR above.rollback = 'incomplete' OR above.state = 'unknown', false) OR ${unknownElsewhere} AS is_incomplete, undo.generation AS undo_generation,
       undo.state AS undo_state, undo.effect AS undo_effect
     FROM run_target t
     CROSS JOIN LATERAL (
       SELECT DISTINCT ON (s.step) s.step, s.state, s.started_at, s.resolution FROM run_step s
       WHERE s.run_id = t.run_id AND s.asset_id = t.asset_id AND s.phase = 'do' AND s.step = ANY ($2) AND s.effect <> 'none'
         AND s.state IN ('started', 'succeeded', 'failed', 'cancelled', 'unknown')
       ORDER BY s.step, s.generation DESC) AS done
     LEFT JOIN LATERAL (
       SELECT u.generation, u.state, u.effect FROM run_step u
       WHERE u.run_id = t.run_id AND u.asset_id = t.asset_id AND u.phase = 'undo' AND u.step = done.step
       ORDER BY u.generation DESC LIMIT 1) AS undo ON true
     LEFT JOIN run_target above ON above.run_id = $4 AND above.asset_id = t.asset_id
     -- What is no target of the run that rolls back is undone unless only failed targets are.
     WHERE t.run_id = $1 AND coalesce(done.resolution->>'as', '') <> 'not-done' AND CASE WHEN $4::uuid IS NULL THEN t.state = ANY ($3) ELSE coalesce(above.state = ANY ($3), $5) END
     ORDER BY t.asset_id`,
    [runId, paths, statesOf[which], scope?.runId ?? null, which !== 'failed'],
  );
  return rows.map((row) => ({
    assetId: row.asset_id,
    assetName: row.asset_name,
    path: row.step,
    state: row.state,
    startedAt: row.started_at,
    outputs: row.outputs,
    error: row.error,
    isRollbackIncomplete: row.is_incomplete,
    undo:
      row.undo_generation === null || row.undo_state === null
        ? null
        : { generation: row.undo_generation, state: row.undo_state, effect: row.undo_effect ?? 'mutating' },
  }));
}

/** One attempt to undo a step on a target. */
export interface UndoAttempt {
  readonly assetId: string;
  readonly path: string;
  readonly generation: number;
  readonly token: string;
  readonly effect: JournaledEffect;
}

/** Journals *started* of an attempt to undo, before anything is dispatched. Throws FettleError `stale-lane`. */
export async function startUndo(transaction: Transaction, claim: LaneClaim, attempt: UndoAttempt): Promise<void> {
  const run = await lockRunForLane(transaction, claim);
  const { assetId, path, generation, token, effect } = attempt;
  await transaction.query(
    `INSERT INTO run_step (run_id, asset_id, step, phase, generation, lane_epoch, token, effect, state, started_at)
     VALUES ($1, $2, $3, 'undo', $4, $5, $6, $7, 'started', clock_timestamp())
     ON CONFLICT (run_id, asset_id, step, phase, generation) DO UPDATE SET lane_epoch = excluded.lane_epoch, effect = excluded.effect
     WHERE run_step.state = 'started'`,
    [claim.runId, assetId, path, generation, claim.laneEpoch, token, effect],
  );
  await appendEntries(transaction, run, [{ kind: 'undo-started', assetId, step: path, data: { attempt: generation } }]);
  await saveLockedRun(transaction, run);
}

export interface UndoEnd {
  readonly state: Exclude<StepState, 'started'>;
  readonly exitCode: number | null;
  readonly error: StoredError | null;
}

/** Journals how an attempt to undo ended. Throws FettleError `stale-lane`. */
export async function endUndo(
  transaction: Transaction,
  claim: LaneClaim,
  attempt: Pick<UndoAttempt, 'assetId' | 'path' | 'generation'>,
  end: UndoEnd,
  logs: readonly LogChunk[],
): Promise<void> {
  const run = await lockRunForLane(transaction, claim);
  const { assetId, path, generation } = attempt;
  const error = storableJson(end.error);
  await appendLogs(transaction, run, logs);
  await transaction.query(
    `UPDATE run_step SET state = $5, exit_code = $6, error = $7, ended_at = clock_timestamp()
     WHERE run_id = $1 AND asset_id = $2 AND step = $3 AND phase = 'undo' AND generation = $4 AND state = 'started'`,
    [claim.runId, assetId, path, generation, end.state, end.exitCode, error === null ? null : JSON.stringify(error)],
  );
  const data = { attempt: generation, state: end.state, exitCode: end.exitCode, error };
  await appendEntries(transaction, run, [{ kind: 'undo-ended', assetId, step: path, data }]);
  await saveLockedRun(transaction, run);
  await notifyRun(transaction, claim.runId);
}

/** Says at a target what became of its rollback, once; `left`: paths of the steps that could not be undone. */
export async function saveRollback(
  transaction: Transaction,
  claim: LaneClaim,
  assetId: string,
  left: readonly string[],
): Promise<void> {
  const run = await lockRunForLane(transaction, claim);
  const state = left.length === 0 ? 'undone' : 'incomplete';
  await transaction.query(
    // What an earlier segment left stays said.
    `UPDATE run_target SET rollback = CASE WHEN rollback = 'incomplete' THEN rollback ELSE $3 END WHERE run_id = $1 AND asset_id = $2`,
    [claim.runId, assetId, state],
  );
  await appendEntries(transaction, run, [{ kind: 'target-rolled-back', assetId, data: { state, left } }]);
  await saveLockedRun(transaction, run);
}
