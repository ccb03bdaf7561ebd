import type { Transaction } from '../data-source.js';
import { appendEntries, moveCount, type LockedRun } from './run-entries.js';
import { updateTargets, type ClaimedTarget, type JournaledEffect, type LaneClaim } from './run-lanes.js';

export interface ClaimRequest extends LaneClaim {
  /** Indexes of the first and last step of the segment, inclusive. */
  readonly firstStep: number;
  readonly lastStep: number;
  /** At most so many targets. */
  readonly limit: number;
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
 * Claims due targets; the caller journals *started* for each in the same transaction. The limit of targets in flight is exact,
 * because every claim holds the run's row lock. A target does step k+1 only when no target is still at step k.
 */
export async function claimTargets(
  transaction: Transaction,
  run: LockedRun,
  request: ClaimRequest,
): Promise<ClaimResult> {
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
  for (const target of claimed) if (target.state === 'pending') moveCount(run.counts, 'pending', 'running');
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

/** An attempt that is about to begin. */
export interface AttemptStart {
  readonly assetId: string;
  readonly step: string;
  readonly generation: number;
  readonly token: string;
  /** As decided now: after a crash it says whether the attempt may be made again. */
  readonly effect: JournaledEffect;
}

/** Journals *started* of claimed targets, before anything is dispatched. */
export async function journalStarted(
  transaction: Transaction,
  run: LockedRun,
  claim: LaneClaim,
  starts: readonly AttemptStart[],
): Promise<void> {
  if (starts.length === 0) return;
  const rows = starts.map(({ assetId, step, generation, token, effect }) => ({
    asset_id: assetId,
    step,
    generation,
    token,
    effect,
  }));
  // A claim that takes up an interrupted attempt of a repeatable step finds its row there: same generation, same token.
  await transaction.query(
    `INSERT INTO run_step (run_id, asset_id, step, phase, generation, lane_epoch, token, effect, state, started_at)
     SELECT $1, s.asset_id, s.step, 'do', s.generation, $2, s.token, s.effect, 'started', clock_timestamp()
     FROM jsonb_to_recordset($3::jsonb) AS s (asset_id uuid, step text, generation integer, token text, effect text)
     ON CONFLICT (run_id, asset_id, step, phase, generation) DO UPDATE
       SET lane_epoch = excluded.lane_epoch, effect = excluded.effect
     WHERE run_step.state = 'started'`,
    [run.id, claim.laneEpoch, JSON.stringify(rows)],
  );
  await appendEntries(
    transaction,
    run,
    starts.map(({ assetId, step, generation }) => ({
      kind: 'step-started',
      assetId,
      step,
      data: { attempt: generation },
    })),
  );
}
