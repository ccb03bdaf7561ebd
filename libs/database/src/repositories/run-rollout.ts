import type { TargetCounts, TargetState } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import { isOverLimit } from './failure-limit.js';
import { appendEntries, emptyCounts, lockRun, saveLockedRun, type LockedRun } from './run-entries.js';

/** What the claims of a run go by. */
export interface RunRollout {
  readonly strategy: 'linear' | 'free';
  readonly maxFailures: number | null;
  readonly isStrict: boolean;
  /** Targets at the end of each wave, those before it included; empty: no targets. Null: no waves. */
  readonly waveEnds: readonly number[] | null;
}

/** Rows that one statement sets. */
const CHUNK = 10_000;

/**
 * Sets the rollout of a new run. `order` holds all its targets in the order in which they are to be dispatched; null: the waves go
 * by name, and inside of one the order does not matter.
 */
export async function saveRollout(
  transaction: Transaction,
  runId: string,
  rollout: RunRollout,
  order: readonly string[] | null,
): Promise<void> {
  const { strategy, maxFailures, isStrict, waveEnds } = rollout;
  await transaction.query(
    `UPDATE run SET strategy = $2, max_failures = $3, is_strict = $4, wave_count = $5 WHERE id = $1`,
    [runId, strategy, maxFailures, isStrict, Math.max(1, waveEnds?.length ?? 1)],
  );
  if (order === null) {
    if (waveEnds !== null && waveEnds.length > 1) await saveWavesByName(transaction, runId, waveEnds);
    return;
  }
  for (let from = 0; from < order.length; from += CHUNK) {
    await transaction.query(
      // A claim takes those first that have been due for longest.
      `UPDATE run_target t SET wave = 1 + width_bucket(o.place - 1, $3::integer[]),
         due_at = t.due_at - ($5::integer - o.place) * interval '1 microsecond'
       FROM (SELECT asset_id, $4::integer + n::integer AS place FROM unnest($2::uuid[]) WITH ORDINALITY AS u (asset_id, n)) AS o
       WHERE t.run_id = $1 AND t.asset_id = o.asset_id`,
      [runId, order.slice(from, from + CHUNK), waveEnds?.slice(0, -1) ?? [], from, order.length],
    );
  }
}

async function saveWavesByName(transaction: Transaction, runId: string, waveEnds: readonly number[]): Promise<void> {
  await transaction.query(
    // Code points, so that no locale decides; names are ASCII.
    `WITH placed AS (
       SELECT asset_id, row_number() OVER (ORDER BY asset_name COLLATE "C", asset_id)::integer AS place FROM run_target WHERE run_id = $1)
     UPDATE run_target t SET wave = 1 + width_bucket(placed.place - 1, $2::integer[])
     FROM placed WHERE t.run_id = $1 AND t.asset_id = placed.asset_id AND placed.place > $3`,
    [runId, waveEnds, waveEnds[0]],
  );
}

/** Ids of a run's targets after the one given, in the order of the ids. */
export async function listTargetIds(
  transaction: Transaction,
  runId: string,
  after: string | null,
  limit: number,
): Promise<string[]> {
  const rows: { asset_id: string }[] = await transaction.query(
    `SELECT asset_id FROM run_target WHERE run_id = $1 AND ($2::uuid IS NULL OR asset_id > $2) ORDER BY asset_id LIMIT $3`,
    [runId, after, limit],
  );
  return rows.map((row) => row.asset_id);
}

/** One wave of one segment. */
export interface WaveStep {
  readonly runId: string;
  /** Path of the segment. */
  readonly path: string;
  readonly wave: number;
  readonly of: number;
  readonly firstStep: number;
  readonly lastStep: number;
}

export interface StartedWave {
  /** Targets that have not left the segment yet. */
  readonly open: number;
  /** True: the wave has no target left, from the beginning. */
  readonly isEmpty: boolean;
}

/** Writes that a wave begins, unless it has no target left. Calling it again, also later in the wave, writes nothing more. */
export async function startWave(transaction: Transaction, step: WaveStep): Promise<StartedWave> {
  const run = await lockRun(transaction, step.runId);
  const rows: { count: number }[] = await transaction.query(
    `SELECT count(*) AS count FROM run_target
     WHERE run_id = $1 AND wave = $2 AND state IN ('pending', 'running') AND step_index BETWEEN $3 AND $4`,
    [step.runId, step.wave, step.firstStep, step.lastStep],
  );
  const open = rows[0]!.count;
  const isEmpty = open === 0 && run.waveMark !== markOf(step, 'wave-started');
  if (!isEmpty) await writeOnce(transaction, run, step, 'wave-started', { targets: open });
  return { open, isEmpty };
}

/** Writes that a wave has ended, and how long the run waits before the next (0: not at all). Calling it again writes nothing more. */
export async function endWave(transaction: Transaction, step: WaveStep, soakMs: number): Promise<void> {
  const run = await lockRun(transaction, step.runId);
  const waits = soakMs > 0 && !isOverLimit(run);
  await writeOnce(transaction, run, step, 'wave-ended', { counts: run.counts, ...(waits ? { soakMs } : {}) });
}

function markOf({ path, wave }: WaveStep, kind: string): string {
  return `${path}/${wave}/${kind}`;
}

async function writeOnce(
  transaction: Transaction,
  run: LockedRun,
  step: WaveStep,
  kind: 'wave-started' | 'wave-ended',
  data: Readonly<Record<string, unknown>>,
): Promise<void> {
  const mark = markOf(step, kind);
  const { path, wave, of } = step;
  if (run.state !== 'running' || run.waveMark === mark) return;
  await appendEntries(transaction, run, [{ kind, step: path, data: { wave, of, ...data } }]);
  await transaction.query(`UPDATE run SET wave = $2, wave_mark = $3 WHERE id = $1`, [run.id, wave, mark]);
  await saveLockedRun(transaction, run);
}

/** Counters of each wave of a run, by its number. */
export async function readWaveCounts(
  transaction: Transaction,
  runId: string,
): Promise<{ number: number; counts: TargetCounts }[]> {
  const rows: { wave: number; state: TargetState; count: number }[] = await transaction.query(
    `SELECT wave, state, count(*) AS count FROM run_target WHERE run_id = $1 GROUP BY wave, state ORDER BY wave`,
    [runId],
  );
  const waves = new Map<number, Record<TargetState, number>>();
  for (const { wave, state, count } of rows) {
    const counts = waves.get(wave) ?? { ...emptyCounts() };
    counts[state] = count;
    waves.set(wave, counts);
  }
  return [...waves].map(([number, counts]) => ({ number, counts }));
}
