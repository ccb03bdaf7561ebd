import { FettleError, type RunState, type TargetCounts, type TargetState } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import { updateRows } from '../update-rows.js';

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
  /** Entries that have their numbers and are not written yet: `saveLockedRun` does, in one statement with the number itself. */
  readonly unwritten: EntryRow[];
}

interface EntryRow {
  readonly seq: number;
  readonly kind: string;
  readonly asset_id: string | null;
  readonly step: string | null;
  readonly data: Readonly<Record<string, unknown>>;
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

/**
 * Locks the run row: every writer of entries goes through here, so sequence numbers have no gaps that fill later. `row` keeps out all that
 * changes the row; `key` also all that refers to it, such as a lane that opens.
 */
export async function lockRun(
  transaction: Transaction,
  runId: string,
  mode: 'key' | 'row' = 'key',
): Promise<LockedRun> {
  const rows: LockedRow[] = await transaction.query(
    `SELECT id, state, cancel_requested_at IS NOT NULL AS cancel, max_concurrency, strategy, max_failures, is_strict, wave_mark,
       segment_mark, decision_mark, closed_since IS NOT NULL AS is_closed, seq, counts
     FROM run WHERE id = $1 FOR ${mode === 'key' ? 'UPDATE' : 'NO KEY UPDATE'}`,
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
    unwritten: [],
  };
}

const insertEntries = `INSERT INTO entry (run_id, seq, at, kind, asset_id, step, data)
     SELECT $1, e.seq, clock_timestamp(), e.kind, e.asset_id, e.step, e.data
     FROM jsonb_to_recordset($2::jsonb) AS e (seq bigint, kind text, asset_id uuid, step text, data jsonb)`;

/** What else is to be written into the run's row. */
export interface RunChange {
  /** Assignments; their parameters are numbered from $5. */
  readonly set: string;
  readonly values: readonly unknown[];
  /** What to give back of the row. */
  readonly returning: string;
}

/** Writes the entries of a locked run, its sequence number and its counters, in one statement; call it last in the transaction. */
export async function saveLockedRun(transaction: Transaction, run: LockedRun): Promise<void> {
  await saveRunWith(transaction, run, { set: '', values: [], returning: '1' });
}

/** As `saveLockedRun`, with more of the run's row. */
export async function saveRunWith<Row>(
  transaction: Transaction,
  run: LockedRun,
  { set, values, returning }: RunChange,
): Promise<Row> {
  const entries = run.unwritten.splice(0);
  const rows = await updateRows<Row>(
    transaction,
    // One text whether there are entries or not, so that the statement is prepared once.
    `WITH written AS (${insertEntries})
     UPDATE run SET seq = $3, counts = $4 ${set === '' ? '' : `, ${set}`} WHERE id = $1 RETURNING ${returning}`,
    [run.id, JSON.stringify(entries), run.seq, JSON.stringify(run.counts), ...values],
  );
  return rows[0]!;
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

/** Beyond this they are written at once: a run of many targets must not become a parameter of hundreds of megabytes. */
const MAX_UNWRITTEN = 4000;

/** Appends entries in order, numbered from the locked run; they are written with it, see `saveLockedRun`. */
export async function appendEntries(
  transaction: Transaction,
  run: LockedRun,
  entries: readonly NewEntry[],
): Promise<void> {
  for (const { kind, assetId = null, step = null, data = {} } of entries) {
    run.unwritten.push({ seq: (run.seq += 1), kind, asset_id: assetId, step, data });
  }
  if (run.unwritten.length < MAX_UNWRITTEN) return;
  await transaction.query(insertEntries, [run.id, JSON.stringify(run.unwritten.splice(0))]);
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
