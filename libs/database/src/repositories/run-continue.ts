import type { RunState, StepState, TargetCounts, TargetState } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import type { StoredError, StoredResolution } from '../entities/runs.js';
import { updateRows } from '../update-rows.js';
import { NIL_ASSET_ID } from './control-steps.js';
import { emptyCounts } from './run-entries.js';
import { repeatableEffects } from './run-lanes.js';

/** A run that has ended, as another one needs it that takes it up. */
export interface ContinuableRun {
  readonly id: string;
  readonly space: string;
  readonly runbook: string;
  readonly version: string;
  readonly versionId: string;
  /** The version belongs to no document: a one-off command. */
  readonly isOneOff: boolean;
  readonly state: RunState;
  readonly error: StoredError | null;
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly selector: string | null;
  readonly targetCount: number;
  readonly parentRunId: string | null;
  /** The schedule that it is a run of. */
  readonly scheduleId: string | null;
  readonly closure: Readonly<Record<string, string>> | null;
  readonly memo: unknown;
  /** The run that called it undid it, if only in part. */
  readonly isUndone: boolean;
  /** The stored document with defaults. */
  readonly document: unknown;
}

/** Locks the run, so that it is not taken up twice at once; null: there is none. */
export async function lockContinuableRun(transaction: Transaction, runId: string): Promise<ContinuableRun | null> {
  const rows: ContinuableRun[] = await transaction.query(
    `SELECT r.id, r.space, r.runbook, r.version, r.version_id AS "versionId", v.document_id IS NULL AS "isOneOff", r.state, r.error,
       r.inputs, r.selector, r.target_count AS "targetCount", r.parent_run_id AS "parentRunId", r.schedule_id AS "scheduleId", r.closure, r.memo,
       r.undone_at IS NOT NULL AS "isUndone", v.parsed AS document
     FROM run r JOIN document_version v ON v.id = r.version_id WHERE r.id = $1 FOR UPDATE OF r`,
    [runId],
  );
  return rows[0] ?? null;
}

/** A run that takes another one up, or makes it again. */
export interface Continuation {
  readonly runId: string;
  readonly how: 'resume' | 'retry';
  readonly state: RunState;
}

/** A run below it that has not ended, whatever called it; null: there is none. */
export async function findOpenBelow(
  transaction: Transaction,
  runId: string,
): Promise<{ readonly id: string; readonly state: RunState } | null> {
  const rows: { id: string; state: RunState }[] = await transaction.query(
    `WITH RECURSIVE below (id) AS (
       SELECT id FROM run WHERE parent_run_id = $1
       UNION ALL SELECT c.id FROM run c JOIN below b ON c.parent_run_id = b.id)
     SELECT r.id, r.state FROM below JOIN run r ON r.id = below.id WHERE r.ended_at IS NULL ORDER BY r.id LIMIT 1`,
    [runId],
  );
  return rows[0] ?? null;
}

/** Those that continue a run, oldest first. */
export async function listContinuations(transaction: Transaction, runId: string): Promise<Continuation[]> {
  return transaction.query(
    `SELECT id AS "runId", continued_how AS how, state FROM run WHERE continues = $1 ORDER BY id LIMIT 100`,
    [runId],
  );
}

/** An attempt of which nobody knows whether it happened, and that no person has settled. */
export interface UnsettledStep {
  readonly runId: string;
  /** Null: of the run itself. */
  readonly asset: string | null;
  readonly assetId: string;
  /** With `#undo` behind it where it is the undoing that is unknown. */
  readonly step: string;
  readonly effect: string;
  readonly detached: boolean;
}

/**
 * On targets in one of the states, and of the run itself; `forResume`: also undos on targets in any state, and steps whose effect has
 * happened although they failed, except of the paths (without iterations) whose failure a target goes on after.
 */
export async function listUnsettledSteps(
  transaction: Transaction,
  runId: string,
  states: readonly TargetState[],
  forResume: { readonly passedOn: readonly string[] } | null,
): Promise<UnsettledStep[]> {
  return transaction.query(
    `SELECT s.run_id AS "runId", t.asset_name AS asset, s.asset_id AS "assetId",
       s.step || CASE s.phase WHEN 'undo' THEN '#undo' ELSE '' END AS step, s.effect, s.detached
     FROM run_step s LEFT JOIN run_target t ON t.run_id = s.run_id AND t.asset_id = s.asset_id
     WHERE s.run_id = $1 AND s.resolution IS NULL AND (s.asset_id = $2 OR t.state = ANY ($3) OR ($4 AND s.phase = 'undo'))
       AND (s.state = 'unknown' OR ($4 AND ${effectDone('s')} AND s.effect <> ALL ($6)
         AND regexp_replace(s.step, '^.*\\]/', '') <> ALL ($5)))
     ORDER BY t.asset_name NULLS FIRST, s.step`,
    [runId, NIL_ASSET_ID, states, forResume !== null, forResume?.passedOn ?? [], [...repeatableEffects]],
  );
}

export interface ResolvedStep {
  readonly step: string;
  readonly phase: 'do' | 'undo';
  readonly generation: number;
}

/** Failed with its effect done: only its output could not be kept. */
const effectDone = (step: string): string =>
  `(${step}.state = 'failed' AND ${step}.phase = 'do' AND coalesce((${step}.error->>'effectDone')::boolean, false))`;

/** Settles the last unknown attempts of a step, and those that failed with their effect done; empty: there is none. `step` null: whichever it is. */
export async function resolveSteps(
  transaction: Transaction,
  key: {
    readonly runId: string;
    readonly assetId: string;
    readonly step: string | null;
    readonly phase: 'do' | 'undo';
  },
  resolution: StoredResolution,
): Promise<ResolvedStep[]> {
  return updateRows(
    transaction,
    `UPDATE run_step s SET resolution = $5
     WHERE run_id = $1 AND asset_id = $2 AND ($3::text IS NULL OR step = $3) AND phase = $4
       AND (state = 'unknown' OR ${effectDone('s')}) AND resolution IS NULL
     RETURNING step, phase, generation`,
    [key.runId, key.assetId, key.step, key.phase, JSON.stringify(resolution)],
  );
}

export async function findRunTarget(
  transaction: Transaction,
  runId: string,
  asset: string,
): Promise<{ readonly assetId: string; readonly state: TargetState } | null> {
  const rows: { assetId: string; state: TargetState }[] = await transaction.query(
    `SELECT asset_id AS "assetId", state FROM run_target WHERE run_id = $1 AND asset_name = $2`,
    [runId, asset],
  );
  return rows[0] ?? null;
}

/** Runs that steps of a run called, and that did not succeed, or were undone with it. */
export async function listUnfinishedCalls(
  transaction: Transaction,
  runId: string,
): Promise<{ readonly path: string; readonly childRunId: string }[]> {
  return transaction.query(
    `SELECT w.path, w.child_run_id AS "childRunId" FROM run_wait w JOIN run c ON c.id = w.child_run_id
     WHERE w.run_id = $1 AND w.kind = 'call' AND (c.state <> 'succeeded' OR c.undone_at IS NOT NULL) ORDER BY w.path`,
    [runId],
  );
}

/** The run $1 and those that it takes up, the last one first. */
const resumedLine = `
     WITH RECURSIVE line (id, depth) AS (
       SELECT $1::uuid, 0
       UNION ALL SELECT r.continues, line.depth + 1 FROM line JOIN run r ON r.id = line.id
         WHERE r.continued_how = 'resume' AND r.continues IS NOT NULL AND line.depth < 100)`;

/** A run that a step called. */
export interface CallRow {
  readonly path: string;
  readonly childRunId: string;
  readonly hasSucceeded: boolean;
  /** Whoever called it undid it, if only in part. */
  readonly isUndone: boolean;
  /** The step has ended well with it: should it be come to again, it calls anew. */
  readonly isSettled: boolean;
}

/** Runs that steps of a run, or of those that it takes up, called last, whatever became of them. */
export async function listCalls(transaction: Transaction, runId: string): Promise<CallRow[]> {
  return transaction.query(
    `${resumedLine}
     SELECT DISTINCT ON (w.path) w.path, w.child_run_id AS "childRunId", c.state = 'succeeded' AS "hasSucceeded",
       c.undone_at IS NOT NULL AS "isUndone",
       EXISTS (SELECT 1 FROM line AS later JOIN run_step s ON s.run_id = later.id AND s.asset_id = $2 AND s.step = w.path
         AND s.phase = 'do' AND s.state = 'succeeded' WHERE later.depth <= line.depth) AS "isSettled"
     FROM line JOIN run_wait w ON w.run_id = line.id AND w.kind = 'call' JOIN run c ON c.id = w.child_run_id
     ORDER BY w.path, line.depth`,
    [runId, NIL_ASSET_ID],
  );
}

/** A run that a step called before. */
export interface CallBefore {
  readonly id: string;
  readonly state: RunState;
  readonly isSettled: boolean;
  readonly isUndone: boolean;
}

/**
 * The run that the same step called last in the runs that this one takes up: an earlier run may have called it, and this one's
 * predecessor never came to the step. `isSettled`: the step has ended well with it, so that whoever comes to it again begins anew.
 */
export async function findCallBefore(
  transaction: Transaction,
  wait: { readonly runId: string; readonly path: string },
): Promise<CallBefore | null> {
  const rows: CallBefore[] = await transaction.query(
    `WITH RECURSIVE line (id, depth) AS (
       SELECT continues, 1 FROM run WHERE id = $1 AND continued_how = 'resume' AND continues IS NOT NULL
       UNION ALL SELECT r.continues, line.depth + 1 FROM line JOIN run r ON r.id = line.id
         WHERE r.continued_how = 'resume' AND r.continues IS NOT NULL AND line.depth < 100)
     SELECT c.id, c.state, c.undone_at IS NOT NULL AS "isUndone", EXISTS (SELECT 1 FROM line AS later JOIN run_step s ON s.run_id = later.id AND s.asset_id = $3 AND s.step = $2
         AND s.phase = 'do' AND s.state = 'succeeded' WHERE later.depth <= line.depth) AS "isSettled"
     FROM line JOIN run_wait w ON w.run_id = line.id AND w.path = $2 AND w.kind = 'call'
       JOIN run c ON c.id = w.child_run_id AND c.ended_at IS NOT NULL
     ORDER BY line.depth LIMIT 1`,
    [wait.runId, wait.path, NIL_ASSET_ID],
  );
  return rows[0] ?? null;
}

/** The last attempt of each step of the run itself. */
export interface ControlJournalRow {
  readonly path: string;
  readonly state: StepState;
  readonly output: unknown;
  readonly error: StoredError | null;
  readonly holds: boolean | null;
  readonly isUndone: boolean;
  readonly resolvedAs: 'done' | 'not-done' | null;
  readonly isCarried: boolean;
}

export async function listControlJournal(transaction: Transaction, runId: string): Promise<ControlJournalRow[]> {
  return transaction.query(
    `${resumedLine}
     SELECT DISTINCT ON (s.step) s.step AS path, s.state, s.output, s.error, s.holds, s.resolution->>'as' AS "resolvedAs",
       s.carried_from IS NOT NULL AS "isCarried",
       EXISTS (SELECT 1 FROM run_step u WHERE u.run_id = s.run_id AND u.asset_id = s.asset_id AND u.step = s.step AND u.phase = 'undo'
         -- Of a call it says itself whether anything was undone; one that has not come to say it may have undone some of it.
         AND (coalesce((u.output->>'undone')::boolean, u.state IN ('succeeded', 'skipped') OR EXISTS (
           SELECT 1 FROM line JOIN run_wait w ON w.run_id = line.id AND w.path = s.step AND w.kind = 'call'
             JOIN run c ON c.id = w.child_run_id AND c.undone_at IS NOT NULL)) OR u.resolution->>'as' = 'done')) AS "isUndone"
     FROM run_step s WHERE s.run_id = $1 AND s.asset_id = $2 AND s.phase = 'do' ORDER BY s.step, s.generation DESC`,
    [runId, NIL_ASSET_ID],
  );
}

/** What the run level decided, as its entries tell it. */
export async function listDecisionEntries(
  transaction: Transaction,
  runId: string,
): Promise<{ readonly kind: string; readonly step: string; readonly branch: number | null }[]> {
  return transaction.query(
    `SELECT kind, step, (data->>'branch')::integer AS branch FROM entry
     WHERE run_id = $1 AND kind IN ('branch-chosen', 'failure-passed', 'failure-caught') AND step IS NOT NULL ORDER BY seq`,
    [runId],
  );
}

/** Paths of the steps that were begun on any target, and whether they ended well on any. */
export async function listStepsOnTargets(
  transaction: Transaction,
  runId: string,
): Promise<{ readonly step: string; readonly isDone: boolean }[]> {
  return transaction.query(
    `SELECT step, bool_or(state IN ('succeeded', 'skipped') OR coalesce(resolution->>'as' = 'done', false)) AS "isDone"
     FROM run_step WHERE run_id = $1 AND asset_id <> $2 AND phase = 'do' GROUP BY step`,
    [runId, NIL_ASSET_ID],
  );
}

/** Retired assets are never targets. */
const inService = `EXISTS (SELECT 1 FROM asset a WHERE a.id = asset_id AND a.lifecycle <> 'retired')`;

/**
 * Targets that ended in one of the states become targets of a new run, which begins with them anew. Of those that were skipped only
 * the ones that the run never came to, unless all are meant.
 */
export async function insertRetriedTargets(
  transaction: Transaction,
  runId: string,
  fromRunId: string,
  chosen: { readonly states: readonly TargetState[]; readonly isAll: boolean },
): Promise<void> {
  await transaction.query(
    `INSERT INTO run_target (run_id, asset_id, asset_name)
     SELECT $1, asset_id, asset_name FROM run_target
     WHERE run_id = $2 AND ${inService} AND state = ANY ($3) AND ($4 OR state <> 'skipped' OR started_at IS NULL)`,
    [runId, fromRunId, chosen.states, chosen.isAll],
  );
}

/**
 * Targets that a resumed run goes on with, as they stood, and those that had come through, which it only counts. A target that was
 * skipped because the run never came to it goes on, too, and so does one that was undone although it had come through, where all are
 * meant that are unfinished. `within`: only assets that are targets of that run, and open in it; null: any.
 */
export async function insertResumedTargets(
  transaction: Transaction,
  runId: string,
  fromRunId: string,
  chosen: { readonly states: readonly TargetState[]; readonly within: string | null },
): Promise<TargetCounts> {
  const rows: { state: TargetState }[] = await transaction.query(
    `INSERT INTO run_target (run_id, asset_id, asset_name, state, outputs, started_at, ended_at)
     SELECT $1, asset_id, asset_name, now_state, outputs, CASE WHEN now_state <> 'pending' THEN started_at END,
       CASE WHEN now_state <> 'pending' THEN ended_at END
     FROM (SELECT *, CASE WHEN NOT is_undone AND (state = 'succeeded' OR (state = 'skipped' AND started_at IS NOT NULL)) THEN state
           ELSE 'pending' END AS now_state
         FROM (SELECT t.*, EXISTS (SELECT 1 FROM run_step u WHERE u.run_id = t.run_id AND u.asset_id = t.asset_id AND u.phase = 'undo'
             AND (u.state IN ('succeeded', 'skipped') OR u.resolution->>'as' = 'done' OR (u.state = 'unknown' AND u.resolution IS NULL)))
             AS is_undone
           FROM run_target t WHERE t.run_id = $2) AS before) AS stood
     WHERE (now_state <> 'pending' OR ((state = ANY ($3) OR (is_undone AND 'pending' = ANY ($3))) AND ${inService}))
       AND ($4::uuid IS NULL OR EXISTS (SELECT 1 FROM run_target p WHERE p.run_id = $4 AND p.asset_id = stood.asset_id
         AND p.state IN ('pending', 'running', 'succeeded', 'skipped')))
     RETURNING state`,
    [runId, fromRunId, chosen.states, chosen.within],
  );
  const counts = { ...emptyCounts() };
  for (const { state } of rows) counts[state] += 1;
  return counts;
}
