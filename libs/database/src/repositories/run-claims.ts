import type { Transaction } from '../data-source.js';
import { appendEntries, lockRun, moveCount, saveLockedRun, type LockedRun } from './run-entries.js';
import { checkLane, updateTargets, type ClaimedTarget, type LaneClaim } from './run-lanes.js';

export interface ClaimRequest extends LaneClaim {
  /** Indexes of the first and last step of the segment, inclusive. */
  readonly firstStep: number;
  readonly lastStep: number;
  /** Ids of all target steps by index. */
  readonly stepIds: readonly string[];
  /** At most so many targets. */
  readonly limit: number;
  readonly token: (assetId: string, step: string, generation: number) => string;
}

export interface ClaimResult {
  /** `open`: go on; `cancelled` or `ended`: stop, nothing was claimed. */
  readonly gate: 'open' | 'cancelled' | 'ended';
  readonly targets: readonly ClaimedTarget[];
  /** Whether all targets have left this segment. */
  readonly done: boolean;
  /** Claims of all lanes, these included. */
  readonly claimedCount: number;
  /** Milliseconds until the next unclaimed target of the current step is due; null: none waits. */
  readonly nextDueMs: number | null;
}

/**
 * Claims due targets and journals *started* for each in the same transaction. The limit of targets in flight is exact,
 * because every claim holds the run's row lock. A target does step k+1 only when no target is still at step k.
 */
export async function claimTargets(transaction: Transaction, request: ClaimRequest): Promise<ClaimResult> {
  const run = await lockRun(transaction, request.runId);
  await checkLane(transaction, request);
  const progress = await readProgress(transaction, request);
  const base = {
    done: progress.currentStep === null,
    claimedCount: progress.claimedCount,
    nextDueMs: progress.nextDueMs,
  };
  if (run.state !== 'running') return { ...base, gate: 'ended', targets: [] };
  if (run.cancelRequested) return { ...base, gate: 'cancelled', targets: [] };
  const limit = Math.min(request.limit, run.maxConcurrency - progress.claimedCount);
  if (progress.currentStep === null || limit <= 0) return { ...base, gate: 'open', targets: [] };

  const claimed = await updateTargets(
    transaction,
    `WITH due AS (
       SELECT asset_id, state FROM run_target
       WHERE run_id = $1 AND state IN ('pending', 'running') AND step_index = $4 AND lane IS NULL AND due_at <= clock_timestamp()
       ORDER BY due_at, asset_id LIMIT $5 FOR UPDATE SKIP LOCKED)
     UPDATE run_target t
     SET lane = $2, lane_epoch = $3, state = 'running', started_at = coalesce(started_at, clock_timestamp())
     FROM due WHERE t.run_id = $1 AND t.asset_id = due.asset_id
     RETURNING t.asset_id, t.asset_name, due.state, t.step_index, t.generation, t.outputs`,
    [request.runId, request.lane, request.laneEpoch, progress.currentStep, limit],
  );
  if (claimed.length > 0) {
    await journalStarted(transaction, request, run, claimed);
    for (const target of claimed) if (target.state === 'pending') moveCount(run.counts, 'pending', 'running');
    await saveLockedRun(transaction, run);
  }
  return { ...base, gate: 'open', targets: claimed, claimedCount: progress.claimedCount + claimed.length };
}

async function readProgress(
  transaction: Transaction,
  request: ClaimRequest,
): Promise<{ currentStep: number | null; claimedCount: number; nextDueMs: number | null }> {
  const rows: { current_step: number | null; claimed_count: number; next_due_ms: number | null }[] =
    await transaction.query(
      `WITH current AS (
         SELECT min(step_index) AS step FROM run_target
         WHERE run_id = $1 AND state IN ('pending', 'running') AND step_index BETWEEN $2 AND $3)
       SELECT current.step AS current_step,
         (SELECT count(*) FROM run_target WHERE run_id = $1 AND lane IS NOT NULL) AS claimed_count,
         (SELECT ceil(extract(epoch FROM min(due_at) - clock_timestamp()) * 1000)::float8 FROM run_target
          WHERE run_id = $1 AND state IN ('pending', 'running') AND step_index = current.step AND lane IS NULL) AS next_due_ms
       FROM current`,
      [request.runId, request.firstStep, request.lastStep],
    );
  const row = rows[0]!;
  return {
    currentStep: row.current_step,
    claimedCount: row.claimed_count,
    nextDueMs: row.next_due_ms === null ? null : Math.max(0, row.next_due_ms),
  };
}

async function journalStarted(
  transaction: Transaction,
  request: ClaimRequest,
  run: LockedRun,
  claimed: readonly ClaimedTarget[],
): Promise<void> {
  const rows = claimed.map((target) => {
    const step = request.stepIds[target.stepIndex]!;
    return {
      asset_id: target.assetId,
      step,
      generation: target.generation,
      token: request.token(target.assetId, step, target.generation),
    };
  });
  // A claim that takes up an interrupted attempt of a repeatable step finds its row there: same generation, same token.
  await transaction.query(
    `INSERT INTO run_step (run_id, asset_id, step, phase, generation, lane_epoch, token, state, started_at)
     SELECT $1, s.asset_id, s.step, 'do', s.generation, $2, s.token, 'started', clock_timestamp()
     FROM jsonb_to_recordset($3::jsonb) AS s (asset_id uuid, step text, generation integer, token text)
     ON CONFLICT (run_id, asset_id, step, phase, generation) DO UPDATE SET lane_epoch = excluded.lane_epoch
     WHERE run_step.state = 'started'`,
    [request.runId, request.laneEpoch, JSON.stringify(rows)],
  );
  await appendEntries(
    transaction,
    run,
    rows.map((row) => ({
      kind: 'step-started',
      assetId: row.asset_id,
      step: row.step,
      data: { attempt: row.generation },
    })),
  );
}
