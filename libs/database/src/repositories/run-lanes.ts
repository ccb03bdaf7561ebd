import { FettleError, type Effect, type TargetState } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import type { StoredError } from '../entities/runs.js';
import { updateRows } from '../update-rows.js';
import { NO_EPOCH } from './control-steps.js';
import { lockRun, moveCount, type LockedRun } from './run-entries.js';

/** What an attempt may do to its target; `none`: it was decided that nothing is dispatched (a false `if`, an input that is refused). */
export type JournaledEffect = Effect | 'none';

/** Effects after which an attempt may be made again: nothing was dispatched, or once more does no harm. */
export const repeatableEffects: ReadonlySet<JournaledEffect> = new Set(['none', 'read-only', 'idempotent']);

/** A target that a lane holds, with what it needs to go on. */
export interface ClaimedTarget {
  readonly assetId: string;
  readonly assetName: string;
  /** State before the claim. */
  readonly state: TargetState;
  readonly stepIndex: number;
  readonly generation: number;
  readonly outputs: Readonly<Record<string, unknown>>;
  /** A command of this attempt may run detached on the host: it is found by its token, and not decided anew. */
  readonly isParked: boolean;
  /** Failures that are put off until it has been through a `finally`, a bit for each one around the step. */
  readonly failing: number;
  /** The last one; null: none. */
  readonly error: StoredError | null;
  /** It was put off for a calendar before. */
  readonly wasClosed?: true | undefined;
  /** The lane that holds it, and its epoch. */
  readonly lane: number;
  readonly laneEpoch: number;
}

export interface LaneClaim {
  readonly runId: string;
  readonly lane: number;
  readonly laneEpoch: number;
}

/** A claim whose worker is gone, with the effect that stands beside its *started*. */
export interface Orphan extends ClaimedTarget {
  readonly effect: JournaledEffect;
  /** Its command runs detached under its token, or can be begun under it: nothing is uncertain. */
  readonly detached: boolean;
  /** What the journal calls the step that was started; null: none was. */
  readonly step: string | null;
  /** What its command runs under: in a resumed run the token of an earlier one, where that attempt is made again; null: no step. */
  readonly token: string | null;
}

/**
 * A lane takes its place where nobody has had it, in one statement, which needs no transaction around it and no lock of the run: no claim
 * of an earlier holder can be under way. Null: somebody has had it, see `openLane`.
 */
export async function openFreshLane(
  database: Transaction,
  runId: string,
  lane: number,
  worker: string,
): Promise<{ laneEpoch: number } | null> {
  const opened: { epoch: number }[] = await database.query(
    `INSERT INTO lane (run_id, number, epoch, worker, opened_at) VALUES ($1, $2, 1, $3, now())
     ON CONFLICT (run_id, number) DO NOTHING RETURNING epoch`,
    [runId, lane, worker],
  );
  return opened[0] ? { laneEpoch: opened[0].epoch } : null;
}

/**
 * A lane takes its place, or takes it over: the epoch rises, so that whoever held it before can write nothing more. The run's lock
 * is held, so that no claim of the old epoch commits after this.
 */
export async function openLane(
  transaction: Transaction,
  runId: string,
  lane: number,
  worker: string,
): Promise<{ laneEpoch: number; orphans: Orphan[] }> {
  await lockRun(transaction, runId);
  const opened: { epoch: number }[] = await transaction.query(
    `INSERT INTO lane (run_id, number, epoch, worker, opened_at) VALUES ($1, $2, 1, $3, now())
     ON CONFLICT (run_id, number) DO UPDATE SET epoch = lane.epoch + 1, worker = excluded.worker, opened_at = now()
     RETURNING epoch`,
    [runId, lane, worker],
  );
  const epoch = opened[0]!.epoch;
  const taken = await updateTargets(
    transaction,
    `UPDATE run_target SET lane_epoch = $3 WHERE run_id = $1 AND lane = $2
     RETURNING asset_id, asset_name, state, step_index, generation, outputs, failing, error, lane, lane_epoch`,
    [runId, lane, epoch],
  );
  const started = taken.length > 0 ? await readStarted(transaction, runId, taken) : new Map<string, never>();
  // A claim without *started* never dispatched anything.
  return {
    laneEpoch: epoch,
    orphans: taken.map((target) => {
      const row = started.get(target.assetId);
      return {
        ...target,
        effect: row?.effect ?? 'none',
        detached: row?.detached ?? false,
        step: row?.step ?? null,
        token: row?.token ?? null,
      };
    }),
  };
}

interface StartedRow {
  asset_id: string;
  step: string;
  effect: JournaledEffect;
  detached: boolean;
  token: string;
}

/**
 * A target works on one attempt at a time: the last one that is started and not ended. What a resumed run has from the one before and
 * never took up is not in flight here.
 */
async function readStarted(
  transaction: Transaction,
  runId: string,
  targets: readonly ClaimedTarget[],
): Promise<Map<string, StartedRow>> {
  const rows: StartedRow[] = await transaction.query(
    `SELECT asset_id, step, effect, detached, token FROM run_step
     WHERE run_id = $1 AND asset_id = ANY ($2) AND phase = 'do' AND state = 'started' AND lane_epoch <> ${NO_EPOCH}
     ORDER BY started_at, generation`,
    [runId, targets.map((target) => target.assetId)],
  );
  return new Map(rows.map((row) => [row.asset_id, row]));
}

interface TargetRow {
  asset_id: string;
  asset_name: string;
  state: TargetState;
  step_index: number;
  generation: number;
  outputs: Record<string, unknown>;
  was_parked?: boolean;
  failing: number;
  error: StoredError | null;
  was_closed?: boolean;
  lane: number;
  lane_epoch: number;
}

/** Updates targets and gives those that changed. */
export async function updateTargets(
  transaction: Transaction,
  sql: string,
  parameters: unknown[],
): Promise<ClaimedTarget[]> {
  const rows = await updateRows<TargetRow>(transaction, sql, parameters);
  return rows.map((row) => ({
    assetId: row.asset_id,
    assetName: row.asset_name,
    state: row.state,
    stepIndex: row.step_index,
    generation: row.generation,
    outputs: row.outputs,
    isParked: row.was_parked === true,
    failing: row.failing,
    error: row.error,
    ...(row.was_closed === true ? { wasClosed: true as const } : {}),
    lane: row.lane,
    laneEpoch: row.lane_epoch,
  }));
}

/**
 * Locks the run for a turn of a lane that still holds its epoch. What the turn writes is numbered from the locked run; its end is
 * `saveLockedRun`.
 * @throws FettleError `stale-lane` where another worker has taken the lane over
 */
export async function lockRunForLane(transaction: Transaction, claim: LaneClaim): Promise<LockedRun> {
  const { run, held } = await lockRunForLanes(transaction, claim.runId, [claim]);
  if (held.has(claim)) return run;
  throw staleLane(claim);
}

/** As `lockRunForLane` for several lanes; gives those that still hold their epochs. */
export async function lockRunForLanes<Claim extends LaneClaim>(
  transaction: Transaction,
  runId: string,
  claims: readonly Claim[],
): Promise<{ readonly run: LockedRun; readonly held: ReadonlySet<Claim> }> {
  const run = await lockRun(transaction, runId, 'row');
  // A statement of its own, after the lock: it must see an epoch that was raised while this turn waited.
  const rows: { number: number; epoch: number }[] = await transaction.query(
    `SELECT number, epoch FROM lane WHERE run_id = $1 AND number = ANY ($2)`,
    [runId, claims.map(({ lane }) => lane)],
  );
  const epochs = new Map(rows.map(({ number, epoch }) => [number, epoch]));
  return { run, held: new Set(claims.filter(({ lane, laneEpoch }) => epochs.get(lane) === laneEpoch)) };
}

export function staleLane({ runId, lane }: LaneClaim): FettleError {
  return new FettleError({
    code: 'stale-lane',
    message: `Lane ${lane} of run ${runId} was taken over by another worker.`,
  });
}

/**
 * Frees claims whose step may safely be executed again, or whose command runs detached and can be found; generation and token stay. A
 * target of which nothing was begun has not begun: the run's counts say so, and are to be saved.
 */
export async function releaseClaims(
  transaction: Transaction,
  run: LockedRun,
  claim: LaneClaim,
  assetIds: readonly string[],
): Promise<void> {
  if (assetIds.length === 0) return;
  const freed = await updateRows<{ was: TargetState; state: TargetState }>(
    transaction,
    `WITH held AS (
       SELECT t.asset_id, t.state, t.state = 'running' AND NOT EXISTS (
         SELECT 1 FROM run_step s WHERE s.run_id = $1 AND s.asset_id = t.asset_id AND s.lane_epoch <> ${NO_EPOCH}) AS is_new
       FROM run_target t WHERE t.run_id = $1 AND t.lane = $2 AND t.lane_epoch = $3 AND t.asset_id = ANY ($4))
     UPDATE run_target t SET lane = NULL, lane_epoch = NULL, is_parked = EXISTS (
       SELECT 1 FROM run_step s WHERE s.run_id = $1 AND s.asset_id = t.asset_id AND s.state = 'started' AND s.detached
         AND s.lane_epoch <> ${NO_EPOCH}),
       state = CASE WHEN held.is_new THEN 'pending' ELSE t.state END,
       started_at = CASE WHEN held.is_new THEN NULL ELSE t.started_at END
     FROM held WHERE t.run_id = $1 AND t.asset_id = held.asset_id RETURNING held.state AS was, t.state`,
    [claim.runId, claim.lane, claim.laneEpoch, assetIds],
  );
  for (const { was, state } of freed) if (state !== was) moveCount(run.counts, was, state);
}

/** Assets that this very lane holds, by its current epoch. */
export async function readClaims(transaction: Transaction, claim: LaneClaim): Promise<string[]> {
  const rows: { asset_id: string }[] = await transaction.query(
    `SELECT asset_id FROM run_target WHERE run_id = $1 AND lane = $2 AND lane_epoch = $3`,
    [claim.runId, claim.lane, claim.laneEpoch],
  );
  return rows.map((row) => row.asset_id);
}
