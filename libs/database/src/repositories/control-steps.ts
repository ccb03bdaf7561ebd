import { FettleError, type StepState } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import type { StoredError } from '../entities/runs.js';
import { storableJson } from '../storable-json.js';
import type { JournaledEffect } from './run-lanes.js';

/** Stands in the journal where a step of target scope has its asset. */
export const NIL_ASSET_ID = '00000000-0000-0000-0000-000000000000';
/** Epoch of a control step that was decided without being started. */
export const NO_EPOCH = 0;

export interface ControlAttempt {
  readonly runId: string;
  readonly step: string;
  readonly generation: number;
  readonly token: string;
  /**
   * Who holds the attempt: a number from 1 that each execution draws for itself and gives at start and end. A worker that takes
   * an interrupted attempt over puts its own in place, so that the one before can end nothing any more; and one that has to
   * repeat its start, because the answer was lost, knows its own work again.
   */
  readonly epoch: number;
  readonly effect: JournaledEffect;
  /** Of a `finally`: it starts also where the run was cancelled. */
  readonly shielded?: boolean | undefined;
  /** `undo`: what the step did is undone. */
  readonly phase?: 'undo' | undefined;
  /** It starts although the run has ended: what the run did is undone by the one that called it. */
  readonly afterEnd?: boolean | undefined;
}

const entryKinds = {
  do: { started: 'step-started', ended: 'step-ended' },
  undo: { started: 'undo-started', ended: 'undo-ended' },
} as const;

export interface ControlEnd {
  readonly state: Exclude<StepState, 'started'>;
  readonly error: StoredError | null;
  readonly output: unknown;
  /** Of a step that is repeated until a condition holds: whether it does. */
  readonly holds?: boolean | undefined;
}

export type ControlStart =
  /**
   * This execution started it, and nobody before in this run: where it has the attempt from an earlier run and a person let it be made
   * again, the token is the one that it had there.
   */
  | { readonly kind: 'fresh'; readonly token: string; readonly tokenRunId: string }
  /** An earlier execution started it with that effect and left no end; it is this one's now. Not open: the run was cancelled since. */
  | {
      readonly kind: 'interrupted';
      readonly effect: JournaledEffect;
      readonly isOpen: boolean;
      readonly token: string;
      /** The run whose token names the step to whom it tells something: an earlier one, where this one takes that up. */
      readonly tokenRunId: string;
    }
  /** The run was cancelled or has ended; nothing was written. */
  | { readonly kind: 'refused' }
  /** It is over, and that is its result. */
  | { readonly kind: 'ended'; readonly end: ControlEnd };

interface StartedRow {
  /** This execution's start came first in this run, be it in this call or in one whose answer was lost. */
  readonly isOwn: boolean;
  /** The run goes on and nobody has cancelled it. */
  readonly isOpen: boolean;
  readonly effect: JournaledEffect;
  /** Null: there is no row and none was made. */
  readonly state: StepState | null;
  readonly error: StoredError | null;
  readonly output: unknown;
  readonly holds: boolean | null;
  readonly token: string;
  readonly tokenRunId: string;
}

/**
 * Journals *started* of a control step before its effect, with its entry, in one statement, which needs no transaction around
 * it. Taking the run's next number takes its row lock; where no entry is written the number stays unused.
 * @throws FettleError `not-found`
 */
export async function startControlStep(database: Transaction, attempt: ControlAttempt): Promise<ControlStart> {
  const { phase = 'do' } = attempt;
  const rows: StartedRow[] = await database.query(
    `WITH owner AS (
         UPDATE run SET seq = seq + 1 WHERE id = $1
         RETURNING id, seq, coalesce(memo->'tokenRuns'->>$3, id::text) AS token_run,
           (state = 'running' AND (cancel_requested_at IS NULL OR $8::boolean)) OR $11::boolean AS open),
       earlier AS (
         SELECT lane_epoch AS holder FROM run_step
         WHERE run_id = $1 AND asset_id = $2 AND step = $3 AND phase = $9 AND generation = $4),
       step AS (
         INSERT INTO run_step AS s (run_id, asset_id, step, phase, generation, lane_epoch, token, effect, state, started_at)
         SELECT id, $2, $3, $9, $4, $5, $6, $7, 'started', clock_timestamp() FROM owner
         WHERE open OR EXISTS (SELECT 1 FROM earlier)
         ON CONFLICT (run_id, asset_id, step, phase, generation) DO UPDATE
           SET lane_epoch = CASE s.state WHEN 'started' THEN excluded.lane_epoch ELSE s.lane_epoch END,
             effect = CASE WHEN s.state = 'started' AND s.lane_epoch = ${NO_EPOCH} THEN excluded.effect ELSE s.effect END,
             -- Tells who took it up first: the holder that is read beside this may be older than the row that is locked.
             fence = s.fence + 1
         -- A row that was there and is only changed has the number of this transaction as its xmax.
         RETURNING xmax = 0 AS is_new, fence, effect, state, error, output, holds, token),
       entry AS (
         INSERT INTO entry (run_id, seq, at, kind, step, data)
         SELECT owner.id, owner.seq, clock_timestamp(), $10, $3, jsonb_build_object('attempt', $4::integer)
         FROM owner, step WHERE step.is_new)
       SELECT step.is_new OR coalesce(earlier.holder = $5, false) OR (
           coalesce(earlier.holder = ${NO_EPOCH}, false) AND step.fence = 2 AND owner.open) AS "isOwn", owner.open AS "isOpen", step.effect, step.state, step.error, step.output, step.holds,
         step.token, owner.token_run AS "tokenRunId"
       FROM owner LEFT JOIN step ON true LEFT JOIN earlier ON true`,
    [
      attempt.runId,
      NIL_ASSET_ID,
      attempt.step,
      attempt.generation,
      attempt.epoch,
      attempt.token,
      attempt.effect,
      attempt.shielded === true,
      phase,
      entryKinds[phase].started,
      attempt.afterEnd === true,
    ],
  );
  const row = rows[0];
  if (!row) throw new FettleError({ code: 'not-found', message: `There is no run ${attempt.runId}.` });
  if (row.state === null) return { kind: 'refused' };
  if (row.state !== 'started') {
    const { state, error, output, holds } = row;
    return { kind: 'ended', end: { state, error, output, ...(holds === null ? {} : { holds }) } };
  }
  const { effect, isOpen, isOwn, token, tokenRunId } = row;
  return isOwn ? { kind: 'fresh', token, tokenRunId } : { kind: 'interrupted', effect, isOpen, token, tokenRunId };
}

/**
 * Journals the end of a control step with its entry, and wakes the run's readers, in one statement; a step that never started
 * (skipped, refused) gets its row here, with `NO_EPOCH`. Ending an ended step changes nothing.
 * @throws FettleError `stale-attempt` where another execution has taken the attempt over
 */
export async function endControlStep(database: Transaction, attempt: ControlAttempt, end: ControlEnd): Promise<void> {
  const error = storableJson(end.error);
  const { phase = 'do' } = attempt;
  const rows: { holder: number | null }[] = await database.query(
    `WITH owner AS (UPDATE run SET seq = seq + 1 WHERE id = $1 RETURNING id, seq),
     step AS (
       INSERT INTO run_step AS s (run_id, asset_id, step, phase, generation, lane_epoch, token, effect, state, error, output,
         holds, started_at, ended_at)
       SELECT id, $2, $3, $12, $4, $5, $6, $7, $8, $9, $10, $11, clock_timestamp(), clock_timestamp() FROM owner
       ON CONFLICT (run_id, asset_id, step, phase, generation) DO UPDATE
         SET state = excluded.state, error = excluded.error, output = excluded.output, holds = excluded.holds,
             ended_at = excluded.ended_at
         WHERE s.state = 'started' AND s.lane_epoch = excluded.lane_epoch
       RETURNING lane_epoch),
     entry AS (
       INSERT INTO entry (run_id, seq, at, kind, step, data)
       SELECT owner.id, owner.seq, clock_timestamp(), $13, $3,
         jsonb_build_object('attempt', $4::integer, 'state', $8::text, 'error', $9::jsonb)
       FROM owner, step)
     SELECT coalesce((SELECT lane_epoch FROM step), (
         SELECT lane_epoch FROM run_step
         WHERE run_id = $1 AND asset_id = $2 AND step = $3 AND phase = $12 AND generation = $4)) AS holder,
       pg_notify('fettle_run', $1::text)`,
    [
      attempt.runId,
      NIL_ASSET_ID,
      attempt.step,
      attempt.generation,
      attempt.epoch,
      attempt.token,
      attempt.effect,
      end.state,
      error === null ? null : JSON.stringify(error),
      end.output === null || end.output === undefined ? null : JSON.stringify(storableJson(end.output)),
      end.holds ?? null,
      phase,
      entryKinds[phase].ended,
    ],
  );
  // Unknown holder: somebody else's row came to be in this very moment.
  if (rows[0]?.holder === attempt.epoch) return;
  throw new FettleError({
    code: 'stale-attempt',
    message: `Step "${attempt.step}" of run ${attempt.runId} was taken over by another worker.`,
  });
}
