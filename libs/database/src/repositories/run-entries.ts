import { FettleError, type RunState, type TargetCounts, type TargetState } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';

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
  readonly state: RunState;
  readonly cancelRequested: boolean;
  readonly maxConcurrency: number;
  /** `free`: a target goes to its next step as soon as it is done with the last. */
  readonly strategy: 'linear' | 'free';
  /** Null: any number. */
  readonly maxFailures: number | null;
  readonly isStrict: boolean;
  /** The last entry about a wave. */
  readonly waveMark: string | null;
  /** The dispatch of a segment that targets entered last. */
  readonly segmentMark: number;
  /** The decisions of the run level that were written last. */
  readonly decisionMark: number;
  /** All that is left of it waits for a calendar, and its deadline stands still. */
  readonly isClosed: boolean;
  seq: number;
  counts: Record<TargetState, number>;
}

interface LockedRow {
  readonly id: string;
  readonly state: RunState;
  readonly cancel: boolean;
  readonly max_concurrency: number;
  readonly strategy: 'linear' | 'free';
  readonly max_failures: number | null;
  readonly is_strict: boolean;
  readonly wave_mark: string | null;
  readonly segment_mark: number;
  readonly decision_mark: number;
  readonly is_closed: boolean;
  readonly seq: number;
  readonly counts: Record<TargetState, number>;
}

/** Locks the run row: every writer of entries goes through here, so sequence numbers have no gaps that fill later. */
export async function lockRun(transaction: Transaction, runId: string): Promise<LockedRun> {
  const rows: LockedRow[] = await transaction.query(
    `SELECT id, state, cancel_requested_at IS NOT NULL AS cancel, max_concurrency, strategy, max_failures, is_strict, wave_mark,
       segment_mark, decision_mark, closed_since IS NOT NULL AS is_closed, seq, counts
     FROM run WHERE id = $1 FOR UPDATE`,
    [runId],
  );
  const row = rows[0];
  if (!row) throw new FettleError({ code: 'not-found', message: `There is no run ${runId}.` });
  return {
    id: row.id,
    state: row.state,
    cancelRequested: row.cancel,
    maxConcurrency: row.max_concurrency,
    strategy: row.strategy,
    maxFailures: row.max_failures,
    isStrict: row.is_strict,
    waveMark: row.wave_mark,
    segmentMark: row.segment_mark,
    decisionMark: row.decision_mark,
    isClosed: row.is_closed,
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

/** Log text of one statement: a wave of chatty hosts must not become a parameter of hundreds of megabytes. */
const MAX_STATEMENT_CHARACTERS = 2_097_152;

/** Appends log chunks in the same numbering as entries, so that one cursor follows both. */
export async function appendLogs(transaction: Transaction, run: LockedRun, chunks: readonly LogChunk[]): Promise<void> {
  let first = 0;
  while (first < chunks.length) {
    let characters = 0;
    let end = first;
    do {
      characters += chunks[end]!.body.length;
      end += 1;
    } while (end < chunks.length && characters + chunks[end]!.body.length <= MAX_STATEMENT_CHARACTERS);
    await insertLogs(transaction, run, chunks.slice(first, end));
    first = end;
  }
}

async function insertLogs(transaction: Transaction, run: LockedRun, chunks: readonly LogChunk[]): Promise<void> {
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

/** Tells readers of this run that something new stands in `entry` or `run_log`; callers keep it to a few a second. */
export async function notifyRun(transaction: Transaction, runId: string): Promise<void> {
  await transaction.query(`SELECT pg_notify('fettle_run', $1)`, [runId]);
}
