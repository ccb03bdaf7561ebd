import type { Transaction } from '../data-source.js';
import type { StoredError } from '../entities/runs.js';
import { NIL_ASSET_ID, NO_EPOCH } from './control-steps.js';
import { appendEntries, lockRun, saveLockedRun, type NewEntry } from './run-entries.js';

/** One dispatch of a segment to which the way did not lead straight: a branch, an iteration, after a cancel. */
export interface SegmentEntrance {
  readonly runId: string;
  /** Index of the segment's first step among all target steps. */
  readonly first: number;
  /** Counts the dispatches of the run's segments. */
  readonly ordinal: number;
}

/** Moves the run's open targets to the first step of a segment. Calling it again for the same dispatch moves nothing. */
export async function enterSegment(transaction: Transaction, entrance: SegmentEntrance): Promise<void> {
  const { runId, first, ordinal } = entrance;
  const run = await lockRun(transaction, runId);
  if (run.state !== 'running' || run.segmentMark >= ordinal) return;
  await transaction.query(
    `UPDATE run_target SET step_index = $2, generation = 1, failing = 0
     WHERE run_id = $1 AND step_index <> $2 AND state IN ('pending', 'running') AND lane IS NULL`,
    [runId, first],
  );
  await transaction.query(`UPDATE run SET segment_mark = $2 WHERE id = $1`, [runId, ordinal]);
}

/** What the run level decided without executing anything. */
export type Decision =
  | { readonly kind: 'skip-step'; readonly path: string }
  | { readonly kind: 'fail-step'; readonly path: string; readonly error: StoredError }
  | {
      readonly kind: 'note';
      readonly path: string;
      /** Kind of the entry: `branch-chosen`, `iteration-started`, `failure-caught`. */
      readonly note: string;
      readonly data: Readonly<Record<string, unknown>>;
    };

/** Journals decisions in their order, in one transaction. `mark` counts them in the run: calling it again writes nothing more. */
export async function recordDecisions(
  transaction: Transaction,
  runId: string,
  mark: number,
  decisions: readonly Decision[],
): Promise<void> {
  const run = await lockRun(transaction, runId);
  if (run.state !== 'running' || run.decisionMark >= mark) return;
  const ended = decisions.filter((decision) => decision.kind !== 'note');
  if (ended.length > 0) {
    const rows = ended.map((decision) => ({
      step: decision.path,
      token: unstartedToken(decision.path),
      state: decision.kind === 'skip-step' ? 'skipped' : 'failed',
      error: decision.kind === 'skip-step' ? null : decision.error,
    }));
    await transaction.query(
      `INSERT INTO run_step (run_id, asset_id, step, phase, generation, lane_epoch, token, effect, state, error, started_at, ended_at)
       SELECT $1, $2, s.step, 'do', 1, $3, s.token, 'none', s.state, s.error, clock_timestamp(), clock_timestamp()
       FROM jsonb_to_recordset($4::jsonb) AS s (step text, token text, state text, error jsonb)
       ON CONFLICT DO NOTHING`,
      [runId, NIL_ASSET_ID, NO_EPOCH, JSON.stringify(rows)],
    );
  }
  await appendEntries(transaction, run, decisions.map(entryOf));
  await transaction.query(`UPDATE run SET decision_mark = $2 WHERE id = $1`, [runId, mark]);
  await saveLockedRun(transaction, run);
}

/** Stands where a step that never started would have its token. */
export function unstartedToken(path: string): string {
  return `none-${path}-${NIL_ASSET_ID}`;
}

function entryOf(decision: Decision): NewEntry {
  if (decision.kind === 'note') return { kind: decision.note, step: decision.path, data: decision.data };
  const [state, error] = decision.kind === 'skip-step' ? ['skipped', null] : ['failed', decision.error];
  return { kind: 'step-ended', step: decision.path, data: { attempt: 1, state, error } };
}
