import type { StepState, TargetCounts, TargetState } from '@fettle/contracts';
import { FettleError } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import type { StoredError } from '../entities/runs.js';

/** One entry before it has its place in the run. */
export interface NewEntry {
  readonly kind: string;
  readonly assetId?: string | null;
  readonly step?: string | null;
  readonly data?: Readonly<Record<string, unknown>>;
}

/** The part of the run row that the journal reads and writes under its lock. */
export interface LockedRun {
  readonly id: string;
  readonly state: string;
  readonly cancelRequested: boolean;
  readonly maxConcurrency: number;
  seq: number;
  counts: Record<TargetState, number>;
}

/** Locks the run row: every writer of entries goes through here, so sequence numbers have no gaps that fill later. */
export async function lockRun(transaction: Transaction, runId: string): Promise<LockedRun> {
  const rows: {
    id: string;
    state: string;
    cancel: boolean;
    max_concurrency: number;
    seq: number;
    counts: Record<TargetState, number>;
  }[] = await transaction.query(
    `SELECT id, state, cancel_requested_at IS NOT NULL AS cancel, max_concurrency, seq, counts FROM run WHERE id = $1 FOR UPDATE`,
    [runId],
  );
  const row = rows[0];
  if (!row) throw new FettleError({ code: 'not-found', message: `There is no run ${runId}.` });
  return {
    id: row.id,
    state: row.state,
    cancelRequested: row.cancel,
    maxConcurrency: row.max_concurrency,
    seq: row.seq,
    counts: { ...row.counts },
  };
}

/** Writes back sequence number and counters of a locked run; call it last in the transaction. */
export async function saveLockedRun(transaction: Transaction, run: LockedRun): Promise<void> {
  await transaction.query(`UPDATE run SET seq = $2, counts = $3 WHERE id = $1`, [
    run.id,
    run.seq,
    JSON.stringify(run.counts),
  ]);
}

export function moveCount(counts: Record<TargetState, number>, from: TargetState, to: TargetState): void {
  counts[from] -= 1;
  counts[to] += 1;
}

/** Appends entries in order, numbered from the locked run. */
export async function appendEntries(
  transaction: Transaction,
  run: LockedRun,
  entries: readonly NewEntry[],
): Promise<void> {
  if (entries.length === 0) return;
  const rows = entries.map((entry) => ({
    seq: (run.seq += 1),
    kind: entry.kind,
    asset_id: entry.assetId ?? null,
    step: entry.step ?? null,
    data: entry.data ?? {},
  }));
  await transaction.query(
    `INSERT INTO entry (run_id, seq, at, kind, asset_id, step, data)
     SELECT $1, e.seq, clock_timestamp(), e.kind, e.asset_id, e.step, e.data
     FROM jsonb_to_recordset($2::jsonb) AS e (seq bigint, kind text, asset_id uuid, step text, data jsonb)`,
    [run.id, JSON.stringify(rows)],
  );
}

export interface LogChunk {
  readonly assetId: string;
  readonly step: string;
  readonly generation: number;
  readonly stream: 'stdout' | 'stderr' | 'note';
  readonly line: number;
  readonly body: string;
}

/** Appends log chunks in the same numbering as entries, so that one cursor follows both. */
export async function appendLogs(transaction: Transaction, run: LockedRun, chunks: readonly LogChunk[]): Promise<void> {
  if (chunks.length === 0) return;
  const rows = chunks.map((chunk) => ({
    seq: (run.seq += 1),
    asset_id: chunk.assetId,
    step: chunk.step,
    generation: chunk.generation,
    stream: chunk.stream,
    line: chunk.line,
    body: chunk.body,
  }));
  await transaction.query(
    `INSERT INTO run_log (run_id, seq, at, asset_id, step, generation, stream, line, body)
     SELECT $1, l.seq, clock_timestamp(), l.asset_id, l.step, l.generation, l.stream, l.line, l.body
     FROM jsonb_to_recordset($2::jsonb)
       AS l (seq bigint, asset_id uuid, step text, generation integer, stream text, line bigint, body text)`,
    [run.id, JSON.stringify(rows)],
  );
}

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
  const orphans = await updateReturning(
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

async function updateReturning(transaction: Transaction, sql: string, parameters: unknown[]): Promise<ClaimedTarget[]> {
  // TypeORM answers an UPDATE with [rows, count].
  const [rows] = (await transaction.query(sql, parameters)) as [TargetRow[], number];
  return rows.map((row) => ({
    assetId: row.asset_id,
    assetName: row.asset_name,
    state: row.state,
    stepIndex: row.step_index,
    generation: row.generation,
    outputs: row.outputs,
  }));
}

async function checkLane(transaction: Transaction, claim: LaneClaim): Promise<void> {
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

  const claimed = await updateReturning(
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

/** What became of one claimed target's attempt. */
export interface AttemptEnd {
  readonly assetId: string;
  readonly step: string;
  readonly generation: number;
  readonly state: Exclude<StepState, 'started'>;
  readonly exitCode: number | null;
  readonly error: StoredError | null;
  /** What later steps may read as `steps.<id>`; null: nothing. */
  readonly output: Readonly<Record<string, unknown>> | null;
  readonly next:
    | { readonly kind: 'advance'; readonly stepIndex: number }
    | { readonly kind: 'retry'; readonly delayMs: number }
    | { readonly kind: 'end'; readonly state: TargetState };
}

/**
 * Journals the ends of attempts and frees their claims in one transaction. Ends that come from a lane of an older epoch are
 * refused: their targets are returned as `refused` and nothing of them is written.
 */
export async function finishAttempts(
  transaction: Transaction,
  claim: LaneClaim,
  ends: readonly AttemptEnd[],
  logs: readonly LogChunk[],
): Promise<{ refused: string[] }> {
  const run = await lockRun(transaction, claim.runId);
  await checkLane(transaction, claim);
  await appendLogs(transaction, run, logs);
  const rows = ends.map((end) => ({
    asset_id: end.assetId,
    step: end.step,
    generation: end.generation,
    state: end.state,
    exit_code: end.exitCode,
    error: end.error,
    output: end.output,
    next: end.next.kind,
    next_step: end.next.kind === 'advance' ? end.next.stepIndex : null,
    delay_ms: end.next.kind === 'retry' ? end.next.delayMs : null,
    target_state: end.next.kind === 'end' ? end.next.state : 'running',
  }));
  const [freed] = (await transaction.query(
    `UPDATE run_target t SET
       state = e.target_state,
       step_index = coalesce(e.next_step, t.step_index),
       generation = CASE e.next WHEN 'advance' THEN 1 WHEN 'retry' THEN t.generation + 1 ELSE t.generation END,
       due_at = CASE e.next WHEN 'retry' THEN clock_timestamp() + e.delay_ms * interval '1 millisecond' ELSE t.due_at END,
       outputs = CASE WHEN e.output IS NULL THEN t.outputs ELSE t.outputs || jsonb_build_object(e.step, e.output) END,
       error = coalesce(e.error, t.error),
       ended_at = CASE e.next WHEN 'end' THEN clock_timestamp() END,
       lane = NULL, lane_epoch = NULL
     FROM jsonb_to_recordset($4::jsonb) AS e (asset_id uuid, step text, generation integer, error jsonb, output jsonb, next text,
       next_step integer, delay_ms float8, target_state text)
     WHERE t.run_id = $1 AND t.asset_id = e.asset_id AND t.lane = $2 AND t.lane_epoch = $3 AND t.generation = e.generation
     RETURNING t.asset_id`,
    [claim.runId, claim.lane, claim.laneEpoch, JSON.stringify(rows)],
  )) as [{ asset_id: string }[], number];
  const accepted = new Set(freed.map((row) => row.asset_id));
  const kept = rows.filter((row) => accepted.has(row.asset_id));
  await journalEnds(transaction, run, kept);
  for (const row of kept) {
    if (row.next === 'end') moveCount(run.counts, 'running', row.target_state as TargetState);
  }
  await saveLockedRun(transaction, run);
  return { refused: ends.map((end) => end.assetId).filter((assetId) => !accepted.has(assetId)) };
}

interface EndRow {
  readonly asset_id: string;
  readonly step: string;
  readonly generation: number;
  readonly state: string;
  readonly exit_code: number | null;
  readonly error: StoredError | null;
  readonly next: string;
  readonly target_state: string;
}

async function journalEnds(transaction: Transaction, run: LockedRun, rows: readonly EndRow[]): Promise<void> {
  if (rows.length === 0) return;
  await transaction.query(
    `UPDATE run_step s SET state = e.state, exit_code = e.exit_code, error = e.error, output = e.output, ended_at = clock_timestamp()
     FROM jsonb_to_recordset($2::jsonb) AS e (asset_id uuid, step text, generation integer, state text, exit_code integer,
       error jsonb, output jsonb)
     WHERE s.run_id = $1 AND s.asset_id = e.asset_id AND s.step = e.step AND s.phase = 'do' AND s.generation = e.generation`,
    [run.id, JSON.stringify(rows)],
  );
  const entries: NewEntry[] = [];
  for (const row of rows) {
    const data = {
      attempt: row.generation,
      state: row.state,
      exitCode: row.exit_code,
      error: row.error,
      next: row.next,
    };
    entries.push({ kind: 'step-ended', assetId: row.asset_id, step: row.step, data });
    if (row.next === 'end')
      entries.push({ kind: 'target-ended', assetId: row.asset_id, data: { state: row.target_state } });
  }
  await appendEntries(transaction, run, entries);
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

/** Counters of all states, each present. */
export function emptyCounts(pending = 0): TargetCounts {
  return {
    pending,
    running: 0,
    succeeded: 0,
    failed: 0,
    skipped: 0,
    unreachable: 0,
    quarantined: 0,
    cancelled: 0,
    unknown: 0,
  };
}

/** Tells readers of this run that something new stands in `entry` or `run_log`; callers keep it to a few a second. */
export async function notifyRun(transaction: Transaction, runId: string): Promise<void> {
  await transaction.query(`SELECT pg_notify('fettle_run', $1)`, [runId]);
}
