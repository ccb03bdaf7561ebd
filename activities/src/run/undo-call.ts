import {
  endControlStep,
  findUndoableRun,
  markUndone,
  noteNotUndone,
  readCallUndo,
  saveCallUndo,
  startControlStep,
  unstartedToken,
  type ControlAttempt,
  type ControlEnd,
  type StoredError,
  type UndoableRun,
} from '@fettle/database';
import { undoneBy, type Undo, type UndoReach } from '@fettle/runbook';
import type { DataSource } from 'typeorm';

/** A step that called a run, by its path without `#undo`. */
export interface UndoableCall {
  readonly runId: string;
  readonly path: string;
}

/** What became of undoing a call; `skipped`: there was nothing to undo. */
export interface UndoneCall {
  readonly state: 'succeeded' | 'skipped' | 'failed';
  readonly error: StoredError | null;
}

export type BegunCallUndo =
  | { readonly kind: 'ended'; readonly end: UndoneCall }
  | {
      readonly kind: 'begun';
      readonly childRunId: string;
      readonly space: string;
      /** In the order in which it was begun. */
      readonly undo: readonly Undo[];
      /** What the called run could not undo itself. */
      readonly failed: readonly string[];
    };

/** The undo of a call is held by the run that rolls back: each execution that asks for it finds it its own. */
const UNDO_EPOCH = 1;

const nothingToUndo: BegunCallUndo = { kind: 'ended', end: { state: 'skipped', error: null } };

/** Local activities that journal how a run undoes those that it called. Each is the same when it is done again. */
export function callUndoActivities(dataSource: DataSource) {
  return {
    /** Journals that a call is being undone, and tells what of the called run there is to undo. */
    beginCallUndo({ which, ...call }: UndoableCall & { readonly which: UndoReach }): Promise<BegunCallUndo> {
      return dataSource.transaction(async (transaction): Promise<BegunCallUndo> => {
        const called = await findUndoableRun(transaction, call);
        if (called === null || !called.wasStarted) return nothingToUndo;
        const { id: childRunId, space } = called;
        const undo = called.undo === null ? null : undoneBy(which, called.undo as readonly Undo[]);
        // What it could not undo itself is no news where only targets are undone.
        const failed = which === 'failed' ? [] : called.failed;
        if (undo?.length === 0 && failed.length === 0) return nothingToUndo;
        const started = await startControlStep(transaction, attemptOf(call));
        if (started.kind === 'ended') return { kind: 'ended', end: endOf(started.end) };
        await markUndone(transaction, childRunId, call);
        if (undo !== null) return { kind: 'begun', childRunId, space, undo, failed };
        const end = { ...failedWith(unlistedError(called)), output: { undone: false } };
        await endControlStep(transaction, attemptOf(call), end);
        return { kind: 'ended', end: endOf(end) };
      });
    },

    /** Says of something that a called run did that it cannot be undone. */
    async noteNotUndone(note: UndoableCall & { readonly error: StoredError }): Promise<void> {
      await dataSource.transaction((transaction) => noteNotUndone(transaction, note, note.error));
    },

    /** Journals what became of it, in both runs. */
    endCallUndo(
      call: UndoableCall & {
        readonly childRunId: string;
        readonly undone: readonly string[];
        readonly failed: readonly string[];
      },
    ): Promise<UndoneCall> {
      return dataSource.transaction(async (transaction): Promise<UndoneCall> => {
        const { childRunId, undone, failed } = call;
        const error = failed.length === 0 ? null : incompleteError(childRunId, failed);
        const state = undone.length === 0 ? 'skipped' : 'succeeded';
        const end = error === null ? ({ state, error } as const) : failedWith(error);
        const known = await readCallUndo(transaction, call);
        if (known?.state !== 'started') return { state: end.state, error: end.error };
        // Where something was undone, if only in part, whoever takes the run up calls again.
        const output = { undone: undone.length > 0 };
        await endControlStep(transaction, attemptOf(call), { ...end, output });
        await saveCallUndo(transaction, childRunId, { undone, failed });
        return { state: end.state, error: end.error };
      });
    },
  };
}

function attemptOf({ runId, path }: UndoableCall): ControlAttempt {
  return {
    ...{ runId, step: path, generation: 1, token: unstartedToken(path), epoch: UNDO_EPOCH, effect: 'none' },
    ...{ shielded: true, phase: 'undo', afterEnd: true },
  };
}

function endOf({ state, error }: ControlEnd): UndoneCall {
  if (state === 'succeeded' || state === 'skipped') return { state, error: null };
  return { state: 'failed', error };
}

const failedWith = (error: StoredError) => ({ state: 'failed', error }) as const;

/** One that came to its end left a list since there are such; of the others nobody can tell. */
function unlistedError({ id, state }: UndoableRun): StoredError {
  const early = 'ended under a version of Fettle that did not keep what of a called run can be undone';
  return {
    code: 'undo-unknown',
    message: `Run ${id} ${state === 'succeeded' ? early : `was lost before it could say what of it can be undone, or ${early}`}.`,
    remedy: `See what it did, and undo it by hand: fettle run show ${id}`,
  };
}

function incompleteError(runId: string, failed: readonly string[]): StoredError {
  const shown = failed.slice(0, 5).join(', ');
  return {
    code: 'rollback-incomplete',
    message: `Of run ${runId} not everything could be undone: ${shown}${failed.length > 5 ? ` and ${failed.length - 5} more` : ''}.`,
    remedy: `Look at it with: fettle run show ${runId}`,
  };
}
