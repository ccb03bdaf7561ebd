import { STOPPED, type StepState, type TargetState } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import type { StoredError } from '../entities/runs.js';
import { storableJson } from '../storable-json.js';
import { appendEntries, appendLogs, moveCount, type LockedRun, type LogChunk, type NewEntry } from './run-entries.js';
import type { LaneClaim } from './run-lanes.js';
import { finallyNotRun } from './run-stop.js';
import { wakeAssetWaiters } from './wake-waiters.js';

/** What became of one claimed target's attempt. */
export interface AttemptEnd {
  readonly assetId: string;
  /** Path of the step, as the journal calls it. */
  readonly step: string;
  /** Under which later steps read its output; absent: the path is the id. */
  readonly stepId?: string | undefined;
  readonly generation: number;
  readonly state: Exclude<StepState, 'started'>;
  readonly exitCode: number | null;
  readonly error: StoredError | null;
  /** What later steps may read as `steps.<id>`; null: nothing. */
  readonly output: Readonly<Record<string, unknown>> | null;
  /** The run that this one takes up has made it. */
  readonly isCarried?: boolean | undefined;
  readonly next:
    | {
        readonly kind: 'advance';
        readonly stepIndex: number;
        /** Failures that are put off until it has been through a `finally`; absent: none. */
        readonly failing?: number | undefined;
        /** Goes on in a handler, which reads the error. */
        readonly isCaught?: boolean | undefined;
      }
    | { readonly kind: 'retry'; readonly delayMs: number }
    | {
        readonly kind: 'end';
        readonly state: TargetState;
        /** Paths of the steps of `finally` that it does not come to; absent: none. */
        readonly finallyLeft?: readonly string[] | undefined;
      };
}

/** What one lane says of attempts that it holds. */
export interface LaneEnds {
  readonly claim: LaneClaim;
  readonly ends: readonly AttemptEnd[];
}

/**
 * Journals the ends of attempts and frees their claims, of one lane or of several. Ends of attempts that a lane does not hold (any more)
 * are left out.
 */
export async function finishAttempts(
  transaction: Transaction,
  run: LockedRun,
  lanes: readonly LaneEnds[],
  logs: readonly LogChunk[],
): Promise<void> {
  await appendLogs(transaction, run, logs);
  const rows = lanes.flatMap(({ claim, ends }) => ends.map((end) => endRow(claim, end)));
  if (rows.length === 0) return;
  const freed: { asset_id: string; lane: number; has_waiters: boolean }[] = await transaction.query(
    `WITH ends AS (
       SELECT * FROM jsonb_to_recordset($2::jsonb) AS e (lane integer, lane_epoch integer, asset_id uuid, step text, step_id text,
         generation integer, state text, exit_code integer, error jsonb, output jsonb, next text, next_step integer, failing integer,
         caught_at text, delay_ms float8, target_state text, finally_left jsonb)),
     freed AS (
       UPDATE run_target t SET
         state = e.target_state,
         step_index = coalesce(e.next_step, t.step_index),
         generation = CASE e.next WHEN 'advance' THEN 1 WHEN 'retry' THEN t.generation + 1 ELSE t.generation END,
         due_at = CASE e.next WHEN 'retry' THEN clock_timestamp() + e.delay_ms * interval '1 millisecond' ELSE t.due_at END,
         outputs = CASE WHEN e.output IS NULL THEN t.outputs ELSE t.outputs || jsonb_build_object(e.step_id, e.output) END,
         error = CASE WHEN e.state IN ('succeeded', 'skipped') AND e.target_state IN ('succeeded', 'skipped') THEN NULL
                      WHEN e.caught_at IS NOT NULL THEN e.error || jsonb_build_object('step', e.caught_at)
                      ELSE coalesce(e.error, t.error) END,
         failing = CASE e.next WHEN 'advance' THEN e.failing ELSE t.failing END,
         stopped_at = CASE WHEN e.next = 'advance' AND e.failing & ${STOPPED} <> 0 THEN coalesce(t.stopped_at, e.step) ELSE t.stopped_at END,
         finally_left = coalesce(e.finally_left, t.finally_left),
         ended_at = CASE e.next WHEN 'end' THEN clock_timestamp() END,
         lane = NULL, lane_epoch = NULL
       FROM ends e
       WHERE t.run_id = $1 AND t.asset_id = e.asset_id AND t.lane = e.lane AND t.lane_epoch = e.lane_epoch
         AND t.generation = e.generation
       RETURNING t.asset_id, e.lane),
     journaled AS (
       UPDATE run_step s SET state = e.state, exit_code = e.exit_code, error = e.error, output = e.output,
         ended_at = coalesce(s.ended_at, clock_timestamp())
       FROM ends e JOIN freed ON freed.asset_id = e.asset_id AND freed.lane = e.lane
       WHERE s.run_id = $1 AND s.asset_id = e.asset_id AND s.step = e.step AND s.phase = 'do' AND s.generation = e.generation)
     SELECT asset_id, lane, EXISTS (SELECT 1 FROM asset_lock_wait) AS has_waiters FROM freed`,
    [run.id, JSON.stringify(rows)],
  );
  const laneOf = new Map(freed.map((row) => [row.asset_id, row.lane]));
  const kept = rows.filter((row) => laneOf.get(row.asset_id) === row.lane);
  await appendEntries(transaction, run, kept.flatMap(entriesOf));
  for (const row of kept) {
    if (row.next === 'end') moveCount(run.counts, 'running', row.target_state);
  }
  const left = kept.filter((row) => row.next === 'end').map((row) => row.asset_id);
  if (left.length > 0 && freed[0]?.has_waiters === true) await wakeAssetWaiters(transaction, run.id, left);
}

type EndRow = ReturnType<typeof endRow>;

function endRow({ lane, laneEpoch }: LaneClaim, end: AttemptEnd) {
  return {
    lane,
    lane_epoch: laneEpoch,
    asset_id: end.assetId,
    step: end.step,
    step_id: end.stepId ?? end.step,
    generation: end.generation,
    state: end.state,
    exit_code: end.exitCode,
    error: storableJson(end.error),
    output: storableJson(end.output),
    next: end.next.kind,
    next_step: end.next.kind === 'advance' ? end.next.stepIndex : null,
    failing: end.next.kind === 'advance' ? (end.next.failing ?? 0) : 0,
    ...(end.next.kind === 'advance' && end.next.isCaught === true ? { caught_at: end.step } : {}),
    delay_ms: end.next.kind === 'retry' ? end.next.delayMs : null,
    target_state: end.next.kind === 'end' ? end.next.state : 'running',
    carried: end.isCarried === true,
    ...(end.next.kind === 'end' && end.next.finallyLeft !== undefined ? { finally_left: end.next.finallyLeft } : {}),
  };
}

function entriesOf(row: EndRow): NewEntry[] {
  const data = {
    attempt: row.generation,
    state: row.state,
    exitCode: row.exit_code,
    error: row.error,
    next: row.next,
    ...(row.carried ? { carried: true } : {}),
  };
  const entries: NewEntry[] = [{ kind: 'step-ended', assetId: row.asset_id, step: row.step, data }];
  if (row.finally_left !== undefined) entries.push(finallyNotRun(row.asset_id, row.target_state, row.finally_left));
  if (row.next === 'end')
    entries.push({ kind: 'target-ended', assetId: row.asset_id, data: { state: row.target_state } });
  return entries;
}

/**
 * Whether `finishAttempts` committed although its answer was lost, told by what it wrote: numbers of transactions may be given again
 * after a crash. The caller holds the run's lock, so that nothing of it is under way any more.
 */
export async function hasFinished(
  transaction: Transaction,
  runId: string,
  written: { readonly ends: readonly AttemptEnd[]; readonly logs: readonly LogChunk[]; readonly lastSeq: number },
): Promise<boolean> {
  // One that the run has from the run before had ended already.
  const end = written.ends.find(({ isCarried }) => isCarried !== true);
  if (end) {
    const ended: unknown[] = await transaction.query(
      `SELECT 1 FROM run_step WHERE run_id = $1 AND asset_id = $2 AND step = $3 AND phase = 'do' AND generation = $4
         AND state <> 'started'`,
      [runId, end.assetId, end.step, end.generation],
    );
    return ended.length > 0;
  }
  const log = written.logs.at(-1);
  // To pass what is known once more does no harm.
  if (!log) return written.ends.length > 0;
  // A number that went to somebody else instead belongs to another target: no two lanes hold the same.
  const kept: unknown[] = await transaction.query(
    `SELECT 1 FROM run_log WHERE run_id = $1 AND seq = $2 AND asset_id = $3 AND step = $4 AND generation = $5 AND stream = $6
       AND line = $7`,
    [runId, written.lastSeq, log.assetId, log.step, log.generation, log.stream, log.line],
  );
  return kept.length > 0;
}
