import type { RunState, StepState, TargetCounts, TargetState } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import type { StoredError, StoredResolution } from '../entities/runs.js';
import { updateRows } from '../update-rows.js';
import { NIL_ASSET_ID, NO_EPOCH } from './control-steps.js';
import { emptyCounts } from './run-entries.js';

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
  readonly closure: Readonly<Record<string, string>> | null;
  readonly memo: unknown;
  /** The stored document with defaults. */
  readonly document: unknown;
}

/** Locks the run, so that it is not taken up twice at once; null: there is none. */
export async function lockContinuableRun(transaction: Transaction, runId: string): Promise<ContinuableRun | null> {
  const rows: ContinuableRun[] = await transaction.query(
    `SELECT r.id, r.space, r.runbook, r.version, r.version_id AS "versionId", v.document_id IS NULL AS "isOneOff", r.state, r.error,
       r.inputs, r.selector, r.target_count AS "targetCount", r.parent_run_id AS "parentRunId", r.closure, r.memo, v.parsed AS document
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

/** On targets in one of the states, and of the run itself. */
export async function listUnsettledSteps(
  transaction: Transaction,
  runId: string,
  states: readonly TargetState[],
): Promise<UnsettledStep[]> {
  return transaction.query(
    `SELECT s.run_id AS "runId", t.asset_name AS asset, s.asset_id AS "assetId",
       s.step || CASE s.phase WHEN 'undo' THEN '#undo' ELSE '' END AS step, s.effect, s.detached
     FROM run_step s LEFT JOIN run_target t ON t.run_id = s.run_id AND t.asset_id = s.asset_id
     WHERE s.run_id = $1 AND s.state = 'unknown' AND s.resolution IS NULL AND (s.asset_id = $2 OR t.state = ANY ($3))
     ORDER BY t.asset_name NULLS FIRST, s.step`,
    [runId, NIL_ASSET_ID, states],
  );
}

export interface ResolvedStep {
  readonly step: string;
  readonly phase: 'do' | 'undo';
  readonly generation: number;
}

/** Settles the last unknown attempts of a step; empty: there is none. `step` null: whichever it is. */
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
    `UPDATE run_step SET resolution = $5
     WHERE run_id = $1 AND asset_id = $2 AND ($3::text IS NULL OR step = $3) AND phase = $4 AND state = 'unknown'
       AND resolution IS NULL
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
    `SELECT DISTINCT ON (s.step) s.step AS path, s.state, s.output, s.error, s.holds, s.resolution->>'as' AS "resolvedAs",
       s.carried_from IS NOT NULL AS "isCarried",
       EXISTS (SELECT 1 FROM run_step u WHERE u.run_id = s.run_id AND u.asset_id = s.asset_id AND u.step = s.step AND u.phase = 'undo'
         AND (u.state IN ('succeeded', 'skipped') OR u.resolution->>'as' = 'done')) AS "isUndone"
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

/** Paths of the steps that were begun on any target. */
export async function listStepsOnTargets(transaction: Transaction, runId: string): Promise<string[]> {
  const rows: { step: string }[] = await transaction.query(
    `SELECT DISTINCT step FROM run_step WHERE run_id = $1 AND asset_id <> $2 AND phase = 'do'`,
    [runId, NIL_ASSET_ID],
  );
  return rows.map((row) => row.step);
}

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
     WHERE run_id = $2 AND state = ANY ($3) AND ($4 OR state <> 'skipped' OR started_at IS NULL)`,
    [runId, fromRunId, chosen.states, chosen.isAll],
  );
}

/**
 * Targets that a resumed run goes on with, as they stood, and those that had come through, which it only counts. A target that was
 * skipped because the run never came to it goes on, too.
 */
export async function insertResumedTargets(
  transaction: Transaction,
  runId: string,
  fromRunId: string,
  states: readonly TargetState[],
): Promise<TargetCounts> {
  const rows: { state: TargetState }[] = await transaction.query(
    `INSERT INTO run_target (run_id, asset_id, asset_name, state, outputs, started_at, ended_at)
     SELECT $1, asset_id, asset_name, now_state, outputs, CASE WHEN now_state <> 'pending' THEN started_at END,
       CASE WHEN now_state <> 'pending' THEN ended_at END
     FROM (SELECT *, CASE WHEN state = 'succeeded' OR (state = 'skipped' AND started_at IS NOT NULL) THEN state ELSE 'pending' END
         AS now_state FROM run_target WHERE run_id = $2) AS t
     WHERE now_state <> 'pending' OR state = ANY ($3)
     RETURNING state`,
    [runId, fromRunId, states],
  );
  const counts = { ...emptyCounts() };
  for (const { state } of rows) counts[state] += 1;
  return counts;
}

/** What decides which attempts on targets a resumed run knows. */
export interface CarryRules {
  /** Paths, without iterations, of steps whose failure a target goes on after. */
  readonly passedOn: readonly string[];
  /** Attempts of which nobody knows whether they happened are made again under the tokens that they had. */
  readonly rerunsUnknown: boolean;
}

/** The path of a step without the iterations around it. */
const plainPath = (column: string): string => `regexp_replace(${column}, '^.*\\]/', '')`;

/**
 * Copies what is known of attempts into a resumed run: the last one of each step that ended well, was skipped, or failed where its
 * target went on. An attempt that may run on its host, under its token, is copied as started, so that it is found again.
 */
export async function carrySteps(
  transaction: Transaction,
  runId: string,
  fromRunId: string,
  rules: CarryRules,
): Promise<void> {
  await transaction.query(
    `INSERT INTO run_step (run_id, asset_id, step, phase, generation, lane_epoch, token, effect, detached, fence, place, state,
       exit_code, error, output, holds, started_at, ended_at, carried_from)
     SELECT $1, s.asset_id, s.step, 'do', 1, ${NO_EPOCH}, s.token, s.effect, s.detached, s.fence, s.place,
       s.now_state, s.exit_code, CASE WHEN s.now_state IN ('started', 'succeeded') THEN NULL ELSE s.error END, s.output, s.holds, s.started_at,
       CASE WHEN s.now_state <> 'started' THEN s.ended_at END, coalesce(s.carried_from, s.run_id)
     FROM (
       SELECT DISTINCT ON (asset_id, step) *,
         CASE WHEN state IN ('succeeded', 'skipped') OR resolution->>'as' = 'done' THEN CASE state WHEN 'skipped' THEN 'skipped' ELSE 'succeeded' END
              WHEN state = 'failed' AND ${plainPath('step')} = ANY ($4) THEN 'failed'
              WHEN state = 'unknown' AND resolution IS NULL AND (detached OR $5) THEN 'started' END AS now_state
       FROM run_step WHERE run_id = $2 AND asset_id <> $3 AND phase = 'do' ORDER BY asset_id, step, generation DESC) AS s
     JOIN run_target t ON t.run_id = $1 AND t.asset_id = s.asset_id
     WHERE s.now_state IS NOT NULL AND (t.state <> 'pending' OR NOT EXISTS (
       SELECT 1 FROM run_step u WHERE u.run_id = $2 AND u.asset_id = s.asset_id AND u.step = s.step AND u.phase = 'undo'
         AND (u.state IN ('succeeded', 'skipped') OR u.resolution->>'as' = 'done')))`,
    [runId, fromRunId, NIL_ASSET_ID, rules.passedOn, rules.rerunsUnknown],
  );
}

/** Steps of a `try` with a `finally`, without iterations. */
export interface ClearedSteps {
  readonly steps: readonly string[];
  /** Those of its `finally`. */
  readonly last: readonly string[];
}

/** Targets that went through a `finally` without having come through what is before it begin anew with the whole of it. */
export async function dropCleared(
  transaction: Transaction,
  runId: string,
  fromRunId: string,
  { steps, last }: ClearedSteps,
): Promise<void> {
  const prefix = (column: string): string => `substring(${column} from '^(?:.*\\]/)?')`;
  await transaction.query(
    `DELETE FROM run_step c USING run_target t
     WHERE c.run_id = $1 AND t.run_id = $1 AND t.asset_id = c.asset_id AND t.state = 'pending' AND ${plainPath('c.step')} = ANY ($3)
       AND EXISTS (SELECT 1 FROM run_step f WHERE f.run_id = $2 AND f.asset_id = c.asset_id AND f.phase = 'do'
         AND ${plainPath('f.step')} = ANY ($4) AND ${prefix('f.step')} = ${prefix('c.step')})
       AND EXISTS (SELECT 1 FROM run_step b WHERE b.run_id = $2 AND b.asset_id = c.asset_id AND b.phase = 'do'
         AND ${plainPath('b.step')} = ANY ($3) AND ${prefix('b.step')} = ${prefix('c.step')}
         AND NOT EXISTS (SELECT 1 FROM run_step k WHERE k.run_id = $1 AND k.asset_id = b.asset_id AND k.step = b.step))`,
    [runId, fromRunId, steps, last],
  );
}

/** Copies attempts of steps of the run itself: those that are known, and those that are made again under their tokens. */
export async function carryControlSteps(
  transaction: Transaction,
  runId: string,
  fromRunId: string,
  paths: { readonly known: readonly string[]; readonly again: readonly string[] },
): Promise<void> {
  await transaction.query(
    `INSERT INTO run_step (run_id, asset_id, step, phase, generation, lane_epoch, token, effect, state, error, output, holds,
       started_at, ended_at, carried_from)
     SELECT DISTINCT ON (s.step) $1::uuid, s.asset_id, s.step, 'do', 1, ${NO_EPOCH}, s.token,
       -- A person has said that it is to be made again, whatever it does.
       CASE WHEN s.step = ANY ($5) THEN 'idempotent' ELSE s.effect END,
       CASE WHEN s.step = ANY ($5) THEN 'started' WHEN s.state = 'unknown' THEN 'succeeded' ELSE s.state END,
       CASE WHEN s.step = ANY ($5) OR s.state = 'unknown' THEN NULL ELSE s.error END, s.output, s.holds, s.started_at,
       CASE WHEN s.step = ANY ($5) THEN NULL ELSE s.ended_at END, coalesce(s.carried_from, s.run_id)
     FROM run_step s WHERE s.run_id = $2 AND s.asset_id = $3 AND s.phase = 'do' AND (s.step = ANY ($4) OR s.step = ANY ($5))
     ORDER BY s.step, s.generation DESC`,
    [runId, fromRunId, NIL_ASSET_ID, paths.known, paths.again],
  );
}

/** Attempts that a resumed run has from the one before it, by asset: ended ones, and such as are taken up under their tokens. */
export interface CarriedAttempt {
  readonly assetId: string;
  readonly step: string;
  readonly state: StepState;
  readonly exitCode: number | null;
  readonly error: StoredError | null;
  readonly output: Readonly<Record<string, unknown>> | null;
  readonly token: string;
  readonly detached: boolean;
  readonly place: string | null;
}

export async function readCarried(
  transaction: Transaction,
  runId: string,
  attempts: readonly { readonly assetId: string; readonly step: string }[],
): Promise<Map<string, CarriedAttempt>> {
  if (attempts.length === 0) return new Map();
  const rows: CarriedAttempt[] = await transaction.query(
    `SELECT s.asset_id AS "assetId", s.step, s.state, s.exit_code AS "exitCode", s.error, s.output, s.token, s.detached, s.place
     FROM jsonb_to_recordset($2::jsonb) AS a ("assetId" uuid, step text)
     JOIN run_step s ON s.run_id = $1 AND s.asset_id = a."assetId" AND s.step = a.step AND s.phase = 'do' AND s.generation = 1
     WHERE s.carried_from IS NOT NULL`,
    [runId, JSON.stringify(attempts.map(({ assetId, step }) => ({ assetId, step })))],
  );
  return new Map(rows.map((row) => [row.assetId, row]));
}
