import { countFailures, dispatchRoom } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import { cancelUndispatched, isOverLimit } from './failure-limit.js';
import { appendEntries, moveCount, type LockedRun } from './run-entries.js';
import { updateTargets, type ClaimedTarget, type JournaledEffect, type LaneClaim } from './run-lanes.js';

export interface ClaimRequest extends LaneClaim {
  /** Indexes of the first and last step of the segment, inclusive. */
  readonly firstStep: number;
  readonly lastStep: number;
  /** What the journal calls the segment's first step. */
  readonly firstStepId: string;
  /** From 1; without waves all targets are in the first. */
  readonly wave: number;
  /** At most so many targets. */
  readonly limit: number;
  /** Of a `finally`: a cancel does not stop it. */
  readonly shielded?: boolean | undefined;
}

export interface ClaimResult {
  /** `open`: go on; `cancelled` or `ended`: stop, nothing was claimed. */
  readonly gate: 'open' | 'cancelled' | 'ended';
  readonly targets: readonly ClaimedTarget[];
  /** Whether all targets of the wave have left this segment. */
  readonly done: boolean;
  /** Claims of all lanes, these included. */
  readonly claimedCount: number;
  /** Milliseconds until the next unclaimed target that may be claimed is due; null: none waits. */
  readonly nextDueMs: number | null;
}

/**
 * Claims due targets of a wave; the caller journals *started* for each in the same transaction. The limits of targets in flight and
 * of failures are exact, because every claim holds the run's row lock. Linear: a target does step k+1 only when no target of the wave
 * is still at step k. Free: as soon as it is done with step k, before others begin.
 */
export async function claimTargets(
  transaction: Transaction,
  run: LockedRun,
  request: ClaimRequest,
): Promise<ClaimResult> {
  const isOpen = run.state === 'running' && (!run.cancelRequested || request.shielded === true);
  if (isOpen && isOverLimit(run)) await cancelUndispatched(transaction, run, request);
  const progress = await readProgress(transaction, run, request);
  const { currentStep, claimedCount } = progress;
  const base = { done: currentStep === null, claimedCount, nextDueMs: progress.nextDueMs };
  if (!isOpen) return { ...base, gate: run.state === 'running' ? 'cancelled' : 'ended', targets: [] };
  if (currentStep === null) return { ...base, gate: 'open', targets: [] };
  // Only a strict run counts those that wait for another attempt.
  const again = run.isStrict ? await readWaiting(transaction, request) : { count: 0, nextDueMs: null };
  const room = dispatchRoom({
    wanted: request.limit,
    maxConcurrency: run.maxConcurrency,
    claimed: claimedCount,
    waiting: again.count,
    failures: countFailures(run.counts),
    maxFailures: run.maxFailures,
    isStrict: run.isStrict,
  });
  const nextDueMs = run.isStrict && room.first === 0 ? again.nextDueMs : base.nextDueMs;
  const claimed: ClaimedTarget[] = [];
  if (room.first < room.all) {
    claimed.push(...(await claimDue(transaction, run, request, currentStep, room.all, 'generation > 1')));
    const left = Math.min(room.first, room.all - claimed.length);
    if (left > 0) claimed.push(...(await claimDue(transaction, run, request, currentStep, left, 'generation = 1')));
  } else if (room.all > 0) {
    claimed.push(...(await claimDue(transaction, run, request, currentStep, room.all, 'true')));
  }
  for (const target of claimed) if (target.state === 'pending') moveCount(run.counts, 'pending', 'running');
  return { ...base, nextDueMs, gate: 'open', targets: claimed, claimedCount: claimedCount + claimed.length };
}

async function claimDue(
  transaction: Transaction,
  run: LockedRun,
  request: ClaimRequest,
  currentStep: number,
  limit: number,
  which: 'generation > 1' | 'generation = 1' | 'true',
): Promise<ClaimedTarget[]> {
  // The furthest first: whoever has begun is done before others begin.
  const [from, to] = run.strategy === 'free' ? [request.lastStep, request.firstStep] : [currentStep, currentStep];
  return updateTargets(
    transaction,
    `WITH due AS (
       SELECT one.asset_id, one.state FROM generate_series($5::integer, $6::integer, -1) AS step (index)
       CROSS JOIN LATERAL (
         SELECT asset_id, state FROM run_target
         WHERE run_id = $1 AND wave = $4 AND state IN ('pending', 'running') AND step_index = step.index AND lane IS NULL
           AND due_at <= clock_timestamp() AND ${which}
         ORDER BY due_at, asset_id LIMIT $7 FOR UPDATE SKIP LOCKED) AS one
       LIMIT $7)
     UPDATE run_target t
     SET lane = $2, lane_epoch = $3, state = 'running', started_at = coalesce(started_at, clock_timestamp())
     FROM due WHERE t.run_id = $1 AND t.asset_id = due.asset_id
     RETURNING t.asset_id, t.asset_name, due.state, t.step_index, t.generation, t.outputs, t.failing, t.error`,
    [request.runId, request.lane, request.laneEpoch, request.wave, from, to, limit],
  );
}

export interface Progress {
  /** The lowest step that a target of the wave is at; null: all have left the segment. */
  readonly currentStep: number | null;
  readonly claimedCount: number;
  readonly nextDueMs: number | null;
}

/** How far the wave has come in this segment, and when the next target is due that nobody holds. */
export async function readProgress(transaction: Transaction, run: LockedRun, request: ClaimRequest): Promise<Progress> {
  const last = run.strategy === 'free' ? '$3::integer' : 'current.step';
  const rows: { current_step: number | null; claimed_count: number; next_due_ms: number | null }[] =
    await transaction.query(
      `WITH current AS (
         SELECT min(step_index) AS step FROM run_target
         WHERE run_id = $1 AND wave = $4 AND state IN ('pending', 'running') AND step_index BETWEEN $2 AND $3)
       SELECT current.step AS current_step,
         (SELECT count(*) FROM run_target WHERE run_id = $1 AND lane IS NOT NULL) AS claimed_count,
         (SELECT ceil(extract(epoch FROM min(first.due_at) - clock_timestamp()) * 1000)::float8
          FROM generate_series(current.step, ${last}) AS step (index)
          CROSS JOIN LATERAL (SELECT due_at FROM run_target
            WHERE run_id = $1 AND wave = $4 AND state IN ('pending', 'running') AND step_index = step.index AND lane IS NULL
            ORDER BY due_at LIMIT 1) AS first) AS next_due_ms
       FROM current`,
      [request.runId, request.firstStep, request.lastStep, request.wave],
    );
  const row = rows[0]!;
  return { currentStep: row.current_step, claimedCount: row.claimed_count, nextDueMs: notNegative(row.next_due_ms) };
}

/** Targets of the wave that wait for another attempt, and when the first of them is due. */
async function readWaiting(
  transaction: Transaction,
  request: ClaimRequest,
): Promise<{ count: number; nextDueMs: number | null }> {
  const rows: { count: number; next_due_ms: number | null }[] = await transaction.query(
    `SELECT count(*) AS count, ceil(extract(epoch FROM min(due_at) - clock_timestamp()) * 1000)::float8 AS next_due_ms
     FROM run_target WHERE run_id = $1 AND wave = $2 AND state = 'running' AND generation > 1 AND lane IS NULL`,
    [request.runId, request.wave],
  );
  return { count: rows[0]!.count, nextDueMs: notNegative(rows[0]!.next_due_ms) };
}

function notNegative(milliseconds: number | null): number | null {
  return milliseconds === null ? null : Math.max(0, milliseconds);
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
