import { countFailures, dispatchRoom, STOPPED } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import { stopWaiting } from './asset-locks.js';
import { cancelUndispatched, isOverLimit } from './failure-limit.js';
import { moveCount, type LockedRun } from './run-entries.js';
import { updateTargets, type ClaimedTarget, type LaneClaim } from './run-lanes.js';

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
  /** Of the lanes that claim together, this one among them: how many targets each takes, `limit` in all. Absent: this one takes all. */
  readonly seats?: readonly LaneSeats[] | undefined;
  /** The run is about to end: only what runs detached is claimed, due or not, so that it can be stopped. */
  readonly isEnding?: boolean | undefined;
  /** Of a `finally`: a cancel does not stop it. */
  readonly shielded?: boolean | undefined;
  /** Only those that a cancel has stopped, on their way through `finally`: nothing but the room for attempts holds them. */
  readonly onlyStopped?: boolean | undefined;
  /** Indexes of steps that are not stopped where they run detached: those of a `finally`. */
  readonly keptSteps?: readonly number[] | undefined;
}

/** Free slots of a lane. */
export interface LaneSeats {
  readonly lane: number;
  readonly laneEpoch: number;
  readonly count: number;
}

/** What is left of the slots of lanes that claim together, once these targets have been claimed. */
export function seatsLeft(
  { lane, laneEpoch, limit, seats = [{ lane, laneEpoch, count: limit }] }: ClaimRequest,
  claimed: readonly ClaimedTarget[],
): readonly LaneSeats[] {
  const taken = new Map<number, number>();
  for (const target of claimed) taken.set(target.lane, (taken.get(target.lane) ?? 0) + 1);
  return seats.map((seat) => ({ ...seat, count: seat.count - (taken.get(seat.lane) ?? 0) }));
}

/** Lane and epoch of each free slot, at most so many: the n-th target that is claimed goes to the n-th, and no more are claimed. */
function seatColumns(seats: readonly LaneSeats[], limit: number): [lanes: number[], epochs: number[]] {
  const each = seats.flatMap((seat) => Array.from({ length: Math.max(0, seat.count) }, () => seat)).slice(0, limit);
  return [each.map(({ lane }) => lane), each.map(({ laneEpoch }) => laneEpoch)];
}

export interface ClaimResult {
  /** `open`: go on; `cancelled`: stop, and stop what runs detached, which alone was claimed; `ended`: nothing was claimed. */
  readonly gate: 'open' | 'cancelled' | 'ended';
  readonly targets: readonly ClaimedTarget[];
  /** Whether all targets of the wave have left this segment. */
  readonly done: boolean;
  /** Claims of all lanes, these included. */
  readonly claimedCount: number;
  /** Targets whose command runs detached without a claim. */
  readonly parkedCount: number;
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
  const isRunning = run.state === 'running';
  const isOpen = isRunning && (!run.cancelRequested || request.shielded === true) && request.isEnding !== true;
  if (isOpen && request.onlyStopped !== true && isOverLimit(run)) await cancelUndispatched(transaction, run, request);
  const progress = await readProgress(transaction, run, request);
  const { currentStep, claimedCount, parkedCount, nextDueMs, parkedDueMs } = progress;
  const base = { done: currentStep === null, claimedCount, parkedCount, nextDueMs };
  // Targets that nobody goes on with wait for nothing, and what the run may undo elsewhere stays locked.
  if (!isOpen) await stopWaiting(transaction, request.runId);
  if (!isRunning) return { ...base, gate: 'ended', targets: [] };
  // What runs detached is in flight already: to look at it needs no room.
  const parked = parkedCount === 0 ? [] : await claimParked(transaction, request, isOpen);
  const held = { claimedCount: claimedCount + parked.length, parkedCount: parkedCount - parked.length };
  if (!isOpen) return { ...base, ...held, gate: 'cancelled', targets: parked };
  if (currentStep === null) return { ...base, ...held, gate: 'open', targets: parked };
  const fresh = await claimFresh(transaction, run, request, { currentStep, ...held, nextDueMs, parkedDueMs }, parked);
  for (const target of fresh.targets) if (target.state === 'pending') moveCount(run.counts, 'pending', 'running');
  return {
    ...base,
    ...held,
    nextDueMs: fresh.nextDueMs,
    gate: 'open',
    targets: [...parked, ...fresh.targets],
    claimedCount: held.claimedCount + fresh.targets.length,
  };
}

/** Claims attempts to begin, as far as the limits leave room. */
async function claimFresh(
  transaction: Transaction,
  run: LockedRun,
  request: ClaimRequest,
  progress: Progress & { readonly currentStep: number },
  parked: readonly ClaimedTarget[],
): Promise<{ targets: ClaimedTarget[]; nextDueMs: number | null }> {
  const { currentStep } = progress;
  const isStrict = run.isStrict && request.onlyStopped !== true;
  // Only a strict run counts those that wait for another attempt.
  const again = isStrict ? await readWaiting(transaction, request) : { count: 0, nextDueMs: null };
  const room = dispatchRoom({
    wanted: request.limit - parked.length,
    maxConcurrency: run.maxConcurrency,
    claimed: progress.claimedCount + progress.parkedCount,
    waiting: again.count,
    failures: countFailures(run.counts),
    maxFailures: run.maxFailures,
    isStrict,
  });
  let { nextDueMs } = progress;
  if (isStrict && room.first === 0) nextDueMs = sooner(again.nextDueMs, progress.parkedDueMs);
  // What runs detached fills the run: nothing can be done before one of them is looked at.
  else if (room.all === 0 && request.limit > parked.length && progress.parkedCount > 0)
    nextDueMs = progress.parkedDueMs;
  const targets: ClaimedTarget[] = [];
  const claim = async (limit: number, which: WhichDue): Promise<void> => {
    const seats = seatsLeft(request, [...parked, ...targets]);
    targets.push(...(await claimDue(transaction, run, { ...request, limit, seats }, currentStep, which)));
  };
  if (room.first < room.all) {
    await claim(room.all, 'generation > 1');
    const left = Math.min(room.first, room.all - targets.length);
    if (left > 0) await claim(left, 'generation = 1');
  } else if (room.all > 0) {
    await claim(room.all, 'true');
  }
  return { targets, nextDueMs };
}

/** A strict run without room waits for other attempts, and for what runs detached. */
function sooner(...waits: (number | null)[]): number | null {
  const known = waits.filter((wait) => wait !== null);
  return known.length === 0 ? null : Math.min(...known);
}

/** Claims targets whose command runs detached: those that are due, or all of the run where it is to be stopped. */
async function claimParked(
  transaction: Transaction,
  request: ClaimRequest,
  onlyDue: boolean,
): Promise<ClaimedTarget[]> {
  if (request.limit === 0) return [];
  const which = stoppedOnly(request);
  const kept = onlyDue ? [] : (request.keptSteps ?? []);
  const { runId, wave, limit, firstStep, lastStep } = request;
  const [lanes, epochs] = seatColumns(seatsLeft(request, []), limit);
  return updateTargets(
    transaction,
    `WITH due AS (
       SELECT asset_id, state FROM run_target
       WHERE run_id = $1 AND is_parked AND step_index BETWEEN $6 AND $7
         AND ${onlyDue ? 'wave = $4 AND due_at <= clock_timestamp()' : '$4::integer IS NOT NULL'} AND ${which}
         AND step_index <> ALL ($8)
       ORDER BY due_at LIMIT $5 FOR UPDATE SKIP LOCKED),
     seated AS (SELECT asset_id, state, row_number() OVER () AS seat FROM due)
     UPDATE run_target t SET lane = ($2::integer[])[due.seat], lane_epoch = ($3::integer[])[due.seat], is_parked = false
     FROM seated due WHERE t.run_id = $1 AND t.asset_id = due.asset_id
     RETURNING t.asset_id, t.asset_name, due.state, t.step_index, t.generation, t.outputs, t.failing, t.error,
       true AS was_parked, t.lane, t.lane_epoch`,
    [runId, lanes, epochs, wave, lanes.length, firstStep, lastStep, kept],
  );
}

type WhichDue = 'generation > 1' | 'generation = 1' | 'true';

async function claimDue(
  transaction: Transaction,
  run: LockedRun,
  request: ClaimRequest,
  currentStep: number,
  which: WhichDue,
): Promise<ClaimedTarget[]> {
  const [lanes, epochs] = seatColumns(seatsLeft(request, []), request.limit);
  // The furthest first: whoever has begun is done before others begin.
  const [from, to] = isFree(run, request) ? [request.lastStep, request.firstStep] : [currentStep, currentStep];
  return updateTargets(
    transaction,
    `WITH due AS (
       SELECT one.asset_id, one.state FROM generate_series($5::integer, $6::integer, -1) AS step (index)
       CROSS JOIN LATERAL (
         SELECT asset_id, state FROM run_target
         WHERE run_id = $1 AND wave = $4 AND state IN ('pending', 'running') AND step_index = step.index AND lane IS NULL
           AND NOT is_parked AND due_at <= clock_timestamp() AND ${which} AND ${stoppedOnly(request)}
         ORDER BY due_at, asset_id LIMIT $7 FOR UPDATE SKIP LOCKED) AS one
       LIMIT $7),
     seated AS (SELECT asset_id, state, row_number() OVER () AS seat FROM due)
     UPDATE run_target t
     SET lane = ($2::integer[])[due.seat], lane_epoch = ($3::integer[])[due.seat], state = 'running',
       started_at = coalesce(started_at, clock_timestamp())
     FROM seated due WHERE t.run_id = $1 AND t.asset_id = due.asset_id
     RETURNING t.asset_id, t.asset_name, due.state, t.step_index, t.generation, t.outputs, t.failing, t.error,
       t.closed IS NOT NULL AS was_closed, t.lane, t.lane_epoch`,
    [request.runId, lanes, epochs, request.wave, from, to, lanes.length],
  );
}

function stoppedOnly({ onlyStopped }: ClaimRequest): string {
  return onlyStopped === true ? `failing & ${STOPPED} <> 0` : 'true';
}

/** A `finally` waits for nobody else's. */
function isFree({ strategy }: LockedRun, { onlyStopped }: ClaimRequest): boolean {
  return strategy === 'free' || onlyStopped === true;
}

export interface Progress {
  /** The lowest step that a target of the wave is at; null: all have left the segment. */
  readonly currentStep: number | null;
  readonly claimedCount: number;
  readonly parkedCount: number;
  readonly nextDueMs: number | null;
  /** Until the first of those that run detached is to be looked at. */
  readonly parkedDueMs: number | null;
}

/**
 * How far the wave has come in this segment, and when the next target is due that nobody holds. Targets that wait for a calendar hold
 * the others up only where none of those is left. What a cancel could not stop holds up no `finally` of others.
 */
export async function readProgress(transaction: Transaction, run: LockedRun, request: ClaimRequest): Promise<Progress> {
  const last = isFree(run, request) ? '$3::integer' : 'current.step';
  const which = stoppedOnly(request);
  const rows: {
    current_step: number | null;
    claimed_count: number;
    parked_count: number;
    parked_due_ms: number | null;
    next_due_ms: number | null;
  }[] = await transaction.query(
    `WITH current AS (
         SELECT coalesce(
           (SELECT step_index FROM run_target
            WHERE run_id = $1 AND wave = $4 AND state IN ('pending', 'running') AND step_index BETWEEN $2 AND $3
              AND ${which} AND (closed IS NULL OR due_at <= clock_timestamp()) ORDER BY step_index LIMIT 1),
           (SELECT min(step_index) FROM run_target
            WHERE run_id = $1 AND wave = $4 AND state IN ('pending', 'running') AND step_index BETWEEN $2 AND $3 AND ${which})) AS step)
       SELECT current.step AS current_step,
         (SELECT count(*) FROM run_target WHERE run_id = $1 AND lane IS NOT NULL) AS claimed_count,
         (SELECT count(*) FROM run_target WHERE run_id = $1 AND is_parked AND ${which}) AS parked_count,
         (SELECT ceil(extract(epoch FROM min(due_at) - clock_timestamp()) * 1000)::float8
          FROM run_target WHERE run_id = $1 AND is_parked AND ${which}) AS parked_due_ms,
         (SELECT ceil(extract(epoch FROM min(first.due_at) - clock_timestamp()) * 1000)::float8
          FROM generate_series(current.step, ${last}) AS step (index)
          CROSS JOIN LATERAL (SELECT due_at FROM run_target
            WHERE run_id = $1 AND wave = $4 AND state IN ('pending', 'running') AND step_index = step.index AND lane IS NULL
              AND ${which} ORDER BY due_at LIMIT 1) AS first) AS next_due_ms
       FROM current`,
    [request.runId, request.firstStep, request.lastStep, request.wave],
  );
  const row = rows[0]!;
  const { current_step: currentStep, claimed_count: claimedCount, parked_count: parkedCount } = row;
  return {
    currentStep,
    claimedCount,
    parkedCount,
    nextDueMs: notNegative(row.next_due_ms),
    parkedDueMs: notNegative(row.parked_due_ms),
  };
}

/** Targets of the wave that wait for another attempt, and when the first of them is due. */
async function readWaiting(
  transaction: Transaction,
  request: ClaimRequest,
): Promise<{ count: number; nextDueMs: number | null }> {
  const rows: { count: number; next_due_ms: number | null }[] = await transaction.query(
    `SELECT count(*) AS count, ceil(extract(epoch FROM min(due_at) - clock_timestamp()) * 1000)::float8 AS next_due_ms
     FROM run_target WHERE run_id = $1 AND wave = $2 AND state = 'running' AND generation > 1 AND lane IS NULL AND NOT is_parked`,
    [request.runId, request.wave],
  );
  return { count: rows[0]!.count, nextDueMs: notNegative(rows[0]!.next_due_ms) };
}

function notNegative(milliseconds: number | null): number | null {
  return milliseconds === null ? null : Math.max(0, milliseconds);
}
