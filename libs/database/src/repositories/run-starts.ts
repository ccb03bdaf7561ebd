import type { Transaction } from '../data-source.js';
import { appendEntries, type LockedRun } from './run-entries.js';
import type { JournaledEffect, LaneClaim } from './run-lanes.js';

/** An attempt that is about to begin, or to be taken up again. */
export interface AttemptStart {
  readonly assetId: string;
  /** Of the lane that makes it. */
  readonly laneEpoch: number;
  readonly step: string;
  readonly generation: number;
  readonly token: string;
  /** As decided now: after a crash it says whether the attempt may be made again. */
  readonly effect: JournaledEffect;
  /** Its command outlives the connection, and is found again by its token. */
  readonly detached: boolean;
  /** Where it is sent. */
  readonly place: string | null;
  /** It was begun before, and is only looked at. */
  readonly isParked: boolean;
}

/** What the journal has of an attempt that was begun. */
export interface StartedAttempt {
  /** Rises with each claim, from 1: who has a smaller one was overtaken. */
  readonly fence: number;
  /** Since *started* was first committed. */
  readonly elapsedMs: number;
  /** Where it was first sent. */
  readonly place: string | null;
  /** As journaled when it was begun; a later decision changes nothing. */
  readonly detached: boolean;
  readonly effect: JournaledEffect;
}

interface StartedRow {
  readonly asset_id: string;
  readonly fence: number;
  readonly elapsed_ms: number;
  readonly place: string | null;
  readonly detached: boolean;
  readonly effect: JournaledEffect;
}

/** Journals *started* of claimed targets, before anything is dispatched; gives what stands there, by asset. */
export async function journalStarted(
  transaction: Transaction,
  run: LockedRun,
  starts: readonly AttemptStart[],
): Promise<Map<string, StartedAttempt>> {
  if (starts.length === 0) return new Map();
  const rows = starts.map(({ assetId, laneEpoch, isParked, ...start }) => ({
    ...{ asset_id: assetId, lane_epoch: laneEpoch, is_parked: isParked },
    ...start,
  }));
  // A claim that takes up an attempt finds its row there: same generation, same token. What was decided when a command was
  // begun stands for as long as it may run.
  const started: StartedRow[] = await transaction.query(
    `INSERT INTO run_step (run_id, asset_id, step, phase, generation, lane_epoch, token, effect, detached, place, state, started_at)
     SELECT $1, s.asset_id, s.step, 'do', s.generation, s.lane_epoch, s.token, s.effect, s.detached, s.place, 'started', clock_timestamp()
     FROM jsonb_to_recordset($2::jsonb)
       AS s (asset_id uuid, lane_epoch integer, step text, generation integer, token text, effect text, detached boolean, place text)
     ON CONFLICT (run_id, asset_id, step, phase, generation) DO UPDATE
       SET lane_epoch = excluded.lane_epoch, fence = run_step.fence + 1,
         effect = CASE WHEN run_step.detached THEN run_step.effect ELSE excluded.effect END,
         detached = run_step.detached OR excluded.detached,
         place = coalesce(run_step.place, excluded.place)
     WHERE run_step.state = 'started'
     RETURNING asset_id, fence, place, detached, effect,
       (extract(epoch FROM clock_timestamp() - started_at) * 1000)::float8 AS elapsed_ms`,
    [run.id, JSON.stringify(rows)],
  );
  await appendEntries(
    transaction,
    run,
    starts
      .filter(({ isParked }) => !isParked)
      .map(({ assetId, step, generation }) => ({
        kind: 'step-started',
        assetId,
        step,
        data: { attempt: generation },
      })),
  );
  return new Map(
    started.map(({ asset_id, fence, place, detached, effect, elapsed_ms }) => [
      asset_id,
      // The first claim is one that nobody may have begun before.
      { fence, place, detached, effect, elapsedMs: fence === 1 ? 0 : Math.max(1, elapsed_ms) },
    ]),
  );
}

/** A command that runs on, to be looked at again. */
export interface ParkedAttempt {
  readonly assetId: string;
  readonly generation: number;
  readonly delayMs: number;
}

/** Lets go of claims whose command runs detached; nothing is journaled, the attempt has not ended. */
export async function parkAttempts(
  transaction: Transaction,
  runId: string,
  lanes: readonly { readonly claim: LaneClaim; readonly parked: readonly ParkedAttempt[] }[],
): Promise<void> {
  const rows = lanes.flatMap(({ claim: { lane, laneEpoch }, parked }) =>
    parked.map(({ assetId, generation, delayMs }) => ({
      ...{ lane, lane_epoch: laneEpoch, asset_id: assetId, generation, delay_ms: delayMs },
    })),
  );
  if (rows.length === 0) return;
  await transaction.query(
    `UPDATE run_target t SET lane = NULL, lane_epoch = NULL, is_parked = true,
       due_at = clock_timestamp() + p.delay_ms * interval '1 millisecond'
     FROM jsonb_to_recordset($2::jsonb)
       AS p (lane integer, lane_epoch integer, asset_id uuid, generation integer, delay_ms float8)
     WHERE t.run_id = $1 AND t.asset_id = p.asset_id AND t.lane = p.lane AND t.lane_epoch = p.lane_epoch AND t.generation = p.generation`,
    [runId, JSON.stringify(rows)],
  );
}

/** Parks what other lanes of a run hold detached: their workers are gone, and the run is about to end. */
export async function parkAbandoned(transaction: Transaction, runId: string): Promise<void> {
  await transaction.query(
    `UPDATE run_target t SET lane = NULL, lane_epoch = NULL, is_parked = true
     WHERE t.run_id = $1 AND t.lane IS NOT NULL AND EXISTS (
       SELECT 1 FROM run_step s WHERE s.run_id = $1 AND s.asset_id = t.asset_id AND s.state = 'started' AND s.detached)`,
    [runId],
  );
}

/** Characters (code points) that stand in the log of each attempt, by asset: a reader that begins anew passes over them. */
export async function readLogged(
  transaction: Transaction,
  runId: string,
  attempts: readonly { readonly assetId: string; readonly step: string; readonly generation: number }[],
): Promise<Map<string, Readonly<Record<'stdout' | 'stderr', number>>>> {
  if (attempts.length === 0) return new Map();
  const rows = attempts.map(({ assetId, step, generation }) => ({ asset_id: assetId, step, generation }));
  const logged: { asset_id: string; stdout: number; stderr: number }[] = await transaction.query(
    `SELECT a.asset_id, coalesce(sum(char_length(l.body)) FILTER (WHERE l.stream = 'stdout'), 0)::float8 AS stdout,
       coalesce(sum(char_length(l.body)) FILTER (WHERE l.stream = 'stderr'), 0)::float8 AS stderr
     FROM jsonb_to_recordset($2::jsonb) AS a (asset_id uuid, step text, generation integer)
     JOIN run_log l ON l.run_id = $1 AND l.asset_id = a.asset_id AND l.step = a.step AND l.generation = a.generation
     GROUP BY a.asset_id`,
    [runId, JSON.stringify(rows)],
  );
  return new Map(logged.map(({ asset_id, stdout, stderr }) => [asset_id, { stdout, stderr }]));
}
