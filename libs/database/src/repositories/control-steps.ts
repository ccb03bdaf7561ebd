import type { StepState } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import type { StoredError } from '../entities/runs.js';
import { appendEntries, lockRun, saveLockedRun } from './run-entries.js';

/** Stands in the journal where a step of target scope has its asset. */
export const NIL_ASSET_ID = '00000000-0000-0000-0000-000000000000';

export interface ControlAttempt {
  readonly runId: string;
  readonly step: string;
  readonly generation: number;
  readonly token: string;
}

export interface ControlEnd {
  readonly state: Exclude<StepState, 'started'>;
  readonly error: StoredError | null;
  readonly output: unknown;
}

/**
 * Journals *started* of a control step before its effect. `fresh`: this call started it; `interrupted`: an earlier worker did
 * and left no end; `refused`: the run was cancelled or has ended; an end: it is over, and that is its result.
 */
export async function startControlStep(
  transaction: Transaction,
  attempt: ControlAttempt,
): Promise<{ kind: 'fresh' } | { kind: 'interrupted' } | { kind: 'refused' } | { kind: 'ended'; end: ControlEnd }> {
  const run = await lockRun(transaction, attempt.runId);
  const rows: { state: StepState; error: StoredError | null; output: unknown }[] = await transaction.query(
    `SELECT state, error, output FROM run_step
     WHERE run_id = $1 AND asset_id = $2 AND step = $3 AND phase = 'do' AND generation = $4`,
    [attempt.runId, NIL_ASSET_ID, attempt.step, attempt.generation],
  );
  const row = rows[0];
  if (row) {
    if (row.state === 'started') return { kind: 'interrupted' };
    return { kind: 'ended', end: { state: row.state, error: row.error, output: row.output } };
  }
  if (run.state !== 'running' || run.cancelRequested) return { kind: 'refused' };
  await transaction.query(
    `INSERT INTO run_step (run_id, asset_id, step, phase, generation, lane_epoch, token, state, started_at)
     VALUES ($1, $2, $3, 'do', $4, 0, $5, 'started', clock_timestamp())`,
    [attempt.runId, NIL_ASSET_ID, attempt.step, attempt.generation, attempt.token],
  );
  await appendEntries(transaction, run, [
    { kind: 'step-started', step: attempt.step, data: { attempt: attempt.generation } },
  ]);
  await saveLockedRun(transaction, run);
  return { kind: 'fresh' };
}

/** Journals the end of a control step; one that never started (skipped, refused) gets its row here. */
export async function endControlStep(
  transaction: Transaction,
  attempt: ControlAttempt,
  end: ControlEnd,
): Promise<void> {
  const run = await lockRun(transaction, attempt.runId);
  const rows: unknown[] = await transaction.query(
    `INSERT INTO run_step (run_id, asset_id, step, phase, generation, lane_epoch, token, state, error, output, started_at, ended_at)
     VALUES ($1, $2, $3, 'do', $4, 0, $5, $6, $7, $8, clock_timestamp(), clock_timestamp())
     ON CONFLICT (run_id, asset_id, step, phase, generation) DO UPDATE
       SET state = excluded.state, error = excluded.error, output = excluded.output, ended_at = excluded.ended_at
     WHERE run_step.state = 'started' RETURNING 1`,
    [
      attempt.runId,
      NIL_ASSET_ID,
      attempt.step,
      attempt.generation,
      attempt.token,
      end.state,
      end.error === null ? null : JSON.stringify(end.error),
      end.output === null || end.output === undefined ? null : JSON.stringify(end.output),
    ],
  );
  if (rows.length === 0) return;
  await appendEntries(transaction, run, [
    {
      kind: 'step-ended',
      step: attempt.step,
      data: { attempt: attempt.generation, state: end.state, error: end.error },
    },
  ]);
  await saveLockedRun(transaction, run);
}
