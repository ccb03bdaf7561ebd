import { STOPPED, type TargetState } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import { updateRows } from '../update-rows.js';
import { NO_EPOCH } from './control-steps.js';
import { appendEntries, moveCount, type LockedRun } from './run-entries.js';
import { repeatableEffects } from './run-lanes.js';
import { wakeAssetWaiters } from './wake-waiters.js';

/** Where targets go that a cancel stops while they stand at a step. */
export interface StopWay {
  readonly stepIndex: number;
  /** What the journal calls the step. */
  readonly path: string;
  /** Of those that have begun with it, and of those that have not; null: they have nothing to put in order. */
  readonly begun: StopTo | null;
  readonly fresh: StopTo | null;
  /** Paths of the steps of `finally` that are left to those that go no further: after this step, and with it. */
  readonly leftAfter: readonly string[];
  readonly leftHere: readonly string[];
}

export interface StopTo {
  readonly index: number;
  readonly failing: number;
}

export interface StoppedSegment {
  readonly wave: number;
  /** Of each of its steps. */
  readonly ways: readonly StopWay[];
}

const wayTable = `jsonb_to_recordset($2::jsonb) AS w (step_index integer, path text, begun jsonb, fresh jsonb, left_after jsonb, left_here jsonb)`;

/** As what a target ends whose run ends now: whoever is at something that may have changed it is unknown, by the rule of `endRun`. */
const openEnd = `CASE WHEN EXISTS (SELECT 1 FROM run_step s WHERE s.run_id = $1 AND s.asset_id = t.asset_id AND s.state = 'started'
  AND s.effect NOT IN (${[...repeatableEffects].map((effect) => `'${effect}'`).join(', ')})) THEN 'unknown' ELSE 'cancelled' END AS ends_as`;

function rowsOf({ ways }: StoppedSegment): string {
  return JSON.stringify(
    ways.map(({ stepIndex, path, begun, fresh, leftAfter, leftHere }) => ({
      ...{ step_index: stepIndex, path, begun, fresh, left_after: leftAfter, left_here: leftHere },
    })),
  );
}

/**
 * Sends the targets of a cancelled segment that nobody holds to their `finally`, as far as they have begun with what it belongs to.
 * Calling it again moves nobody twice. The caller holds the run's lock and saves it.
 */
export async function stopTargets(transaction: Transaction, run: LockedRun, segment: StoppedSegment): Promise<void> {
  if (run.state !== 'running') return;
  const standing = `
    SELECT t.asset_id, w.path, w.left_after, CASE WHEN EXISTS (
      SELECT 1 FROM run_step s WHERE s.run_id = $1 AND s.asset_id = t.asset_id AND s.step = w.path AND s.phase = 'do'
        AND s.lane_epoch <> ${NO_EPOCH}) THEN w.begun ELSE w.fresh END AS way
    FROM run_target t JOIN ${wayTable} ON w.step_index = t.step_index
    WHERE t.run_id = $1 AND t.wave = $3 AND t.state IN ('pending', 'running') AND t.lane IS NULL AND t.failing & ${STOPPED} = 0`;
  const parameters = [run.id, rowsOf(segment), segment.wave];
  // What runs detached and could not be stopped is unknown when the run ends.
  const lost = await updateRows<Left>(
    transaction,
    `WITH standing AS (${standing})
     UPDATE run_target t SET finally_left = standing.left_after FROM standing
     WHERE t.run_id = $1 AND t.asset_id = standing.asset_id AND t.is_parked AND t.finally_left IS NULL
       AND (standing.way->>'index')::integer <> t.step_index
     RETURNING t.asset_id, t.finally_left, ${openEnd}`,
    parameters,
  );
  await updateRows(
    transaction,
    `WITH standing AS (${standing})
     UPDATE run_target t SET step_index = (way->>'index')::integer, failing = t.failing | (way->>'failing')::integer, stopped_at = standing.path,
       generation = CASE WHEN (way->>'index')::integer = t.step_index THEN t.generation ELSE 1 END,
       due_at = CASE WHEN (way->>'index')::integer = t.step_index THEN t.due_at ELSE clock_timestamp() END,
       closed = NULL
     FROM standing
     WHERE t.run_id = $1 AND t.asset_id = standing.asset_id AND way->>'index' IS NOT NULL
       AND (NOT t.is_parked OR (way->>'index')::integer = t.step_index)
     RETURNING t.asset_id`,
    parameters,
  );
  await appendEntries(
    transaction,
    run,
    lost.map(({ asset_id, finally_left, ends_as }) => finallyNotRun(asset_id, ends_as, finally_left)),
  );
}

/**
 * Ends the targets that were sent to their `finally` and have not come to its end, with what is left of it. The caller holds the
 * run's lock and saves it.
 */
export async function endStopped(transaction: Transaction, run: LockedRun, segment: StoppedSegment): Promise<void> {
  if (run.state !== 'running') return;
  const ended = await updateRows<Left & { was: TargetState; state: TargetState }>(
    transaction,
    `WITH open AS (
       SELECT t.asset_id, t.state, CASE WHEN t.is_parked THEN w.left_after ELSE w.left_here END AS finally_left
       FROM run_target t JOIN ${wayTable} ON w.step_index = t.step_index
       WHERE t.run_id = $1 AND t.wave = $3 AND t.state IN ('pending', 'running') AND t.lane IS NULL AND t.failing & ${STOPPED} <> 0
         AND t.finally_left IS NULL)
     UPDATE run_target t SET finally_left = open.finally_left, state = CASE WHEN t.is_parked THEN t.state ELSE 'cancelled' END,
       ended_at = CASE WHEN t.is_parked THEN NULL ELSE clock_timestamp() END
     FROM open WHERE t.run_id = $1 AND t.asset_id = open.asset_id
     RETURNING t.asset_id, t.finally_left, open.state AS was, t.state, ${openEnd}`,
    [run.id, rowsOf(segment), segment.wave],
  );
  for (const { was, state } of ended) if (was !== state) moveCount(run.counts, was, state);
  const gone = ended.filter(({ state }) => state === 'cancelled');
  await appendEntries(
    transaction,
    run,
    ended.flatMap(({ asset_id, finally_left, state, ends_as }) => [
      finallyNotRun(asset_id, state === 'cancelled' ? state : ends_as, finally_left),
      ...(state === 'cancelled' ? [{ kind: 'target-ended', assetId: asset_id, data: { state } }] : []),
    ]),
  );
  if (gone.length > 0) {
    await wakeAssetWaiters(
      transaction,
      run.id,
      gone.map(({ asset_id }) => asset_id),
    );
  }
}

/**
 * Says of targets that are open at the end of their run what of a `finally` they have not come to. `ways`: of all steps, as they are
 * called without the iterations around them. Of what a target did in earlier iterations the journal has ended steps only, and leads it on
 * with their end. The caller holds the run's lock and saves it.
 */
export async function tellFinallyLeft(
  transaction: Transaction,
  run: LockedRun,
  ways: readonly StopWay[],
): Promise<void> {
  if (run.state !== 'running') return;
  const told = await updateRows<Left>(
    transaction,
    `WITH open AS (
       SELECT t.asset_id, CASE WHEN t.lane IS NOT NULL OR t.is_parked OR t.generation > 1 OR EXISTS (
         SELECT 1 FROM run_step s WHERE s.run_id = $1 AND s.asset_id = t.asset_id AND regexp_replace(s.step, '^.*\\]/', '') = w.path
           AND s.state = 'started' AND s.phase = 'do' AND s.lane_epoch <> ${NO_EPOCH}) THEN w.left_after ELSE w.left_here END AS finally_left
       FROM run_target t JOIN ${wayTable} ON w.step_index = t.step_index
       WHERE t.run_id = $1 AND t.state IN ('pending', 'running') AND t.finally_left IS NULL)
     UPDATE run_target t SET finally_left = open.finally_left
     FROM open WHERE t.run_id = $1 AND t.asset_id = open.asset_id AND open.finally_left <> '[]'
     RETURNING t.asset_id, t.finally_left, ${openEnd}`,
    [run.id, rowsOf({ wave: 0, ways })],
  );
  await appendEntries(
    transaction,
    run,
    told.map(({ asset_id, finally_left, ends_as }) => finallyNotRun(asset_id, ends_as, finally_left)),
  );
}

interface Left {
  readonly asset_id: string;
  readonly finally_left: string[];
  readonly ends_as: 'cancelled' | 'unknown';
}

/** The entry of a target that ends before its `finally` has. */
export function finallyNotRun(assetId: string, state: TargetState, left: readonly string[]) {
  return { kind: 'finally-not-run', assetId, data: { state, left } };
}
