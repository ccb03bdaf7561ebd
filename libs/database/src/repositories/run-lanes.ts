import { FettleError, type TargetState } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import { updateRows } from '../update-rows.js';

/** A target that a lane holds, with what it needs to go on. */
export interface ClaimedTarget {
  readonly assetId: string;
  readonly assetName: string;
  /** State before the claim. */
  readonly state: TargetState;
  readonly stepIndex: number;
  readonly generation: number;
  readonly outputs: Readonly<Record<string, unknown>>;
}

export interface LaneClaim {
  readonly runId: string;
  readonly lane: number;
  readonly laneEpoch: number;
}

/** A lane takes its place, or takes it over: the epoch rises, so that whoever held it before can write nothing more. */
export async function openLane(
  transaction: Transaction,
  runId: string,
  lane: number,
  worker: string,
): Promise<{ laneEpoch: number; orphans: ClaimedTarget[] }> {
  const opened: { epoch: number }[] = await transaction.query(
    `INSERT INTO lane (run_id, number, epoch, worker, opened_at) VALUES ($1, $2, 1, $3, now())
     ON CONFLICT (run_id, number) DO UPDATE SET epoch = lane.epoch + 1, worker = excluded.worker, opened_at = now()
     RETURNING epoch`,
    [runId, lane, worker],
  );
  const epoch = opened[0]!.epoch;
  const orphans = await updateTargets(
    transaction,
    `UPDATE run_target SET lane_epoch = $3 WHERE run_id = $1 AND lane = $2
     RETURNING asset_id, asset_name, state, step_index, generation, outputs`,
    [runId, lane, epoch],
  );
  return { laneEpoch: epoch, orphans };
}

interface TargetRow {
  asset_id: string;
  asset_name: string;
  state: TargetState;
  step_index: number;
  generation: number;
  outputs: Record<string, unknown>;
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
  }));
}

/** @throws FettleError `stale-lane` where another worker has taken the lane over */
export async function checkLane(transaction: Transaction, claim: LaneClaim): Promise<void> {
  const rows: unknown[] = await transaction.query(
    `SELECT 1 FROM lane WHERE run_id = $1 AND number = $2 AND epoch = $3`,
    [claim.runId, claim.lane, claim.laneEpoch],
  );
  if (rows.length === 0) {
    throw new FettleError({
      code: 'stale-lane',
      message: `Lane ${claim.lane} of run ${claim.runId} was taken over by another worker.`,
    });
  }
}

/** Frees orphaned claims whose step may safely be executed again; their generation and token stay. */
export async function releaseClaims(
  transaction: Transaction,
  claim: LaneClaim,
  assetIds: readonly string[],
): Promise<void> {
  if (assetIds.length === 0) return;
  await transaction.query(
    `UPDATE run_target SET lane = NULL, lane_epoch = NULL
     WHERE run_id = $1 AND lane = $2 AND lane_epoch = $3 AND asset_id = ANY ($4)`,
    [claim.runId, claim.lane, claim.laneEpoch, assetIds],
  );
}

/** Assets that this very lane holds, by its current epoch. */
export async function readClaims(transaction: Transaction, claim: LaneClaim): Promise<string[]> {
  const rows: { asset_id: string }[] = await transaction.query(
    `SELECT asset_id FROM run_target WHERE run_id = $1 AND lane = $2 AND lane_epoch = $3`,
    [claim.runId, claim.lane, claim.laneEpoch],
  );
  return rows.map((row) => row.asset_id);
}
