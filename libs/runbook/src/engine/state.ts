import { FettleError, targetStates, type TargetCounts, type TargetState } from '@fettle/contracts';
import type { JsonObject, JsonValue } from '../json.js';
import type { EngineCommand, RollbackReport, RunError, WaveReference } from './commands.js';
import type { Memo } from './memo.js';
import type { Program } from './program-nodes.js';
import type { Undo } from './undo.js';

/** What became of an instance of a node. */
export interface Outcome {
  readonly state: 'ok' | 'skipped' | 'failed' | 'cancelled';
  readonly error?: RunError | undefined;
  /** Outputs of the steps of an iteration by id, where the loop's own outputs read them. */
  readonly outputs?: JsonObject | undefined;
}

/** An awaited command that was given and not answered yet. */
export interface OpenCommand {
  readonly isCancelling?: true | undefined;
}

/** The segment whose turn it is: targets do one thing at a time. */
export interface OpenSegment {
  readonly path: string;
  readonly wave?: WaveReference | undefined;
  /** The time between two waves passes. */
  readonly isSoaking?: true | undefined;
  /** What has to hold between two waves is being looked at. */
  readonly isAtGate?: true | undefined;
  /** It was cancelled, and targets go through their `finally`. */
  readonly isStopping?: true | undefined;
}

/** A run that undoes what it did before it finishes. */
export interface Unwinding extends RollbackReport {
  readonly ending: Ending;
  /** What is still to be undone, the next one last. */
  readonly left: readonly Undo[];
}

export type Ending = Omit<Extract<EngineCommand, { kind: 'finish' }>, 'kind'>;

/**
 * What the run level knows: JSON. Instances are named by their path; what has ended within a node that has ended itself is
 * forgotten, so that the state grows with what is open and with outputs, not with what was done.
 */
export interface EngineState {
  /** Of this JSON, as it goes from one execution of the workflow to the next: see `readState`. */
  readonly format: typeof STATE_FORMAT;
  readonly phase: 'created' | 'running' | 'ended';
  readonly inputs: JsonObject;
  /** What expressions read as `run`, besides `run.counts`. */
  readonly run: JsonObject;
  readonly counts: TargetCounts;
  /** Outputs of the control steps that succeeded, by path. */
  readonly outputs: JsonObject;
  readonly done: Readonly<Record<string, Outcome>>;
  readonly open: Readonly<Record<string, OpenCommand>>;
  /** Decisions that must not be made again: branches, items, that a node was entered. */
  readonly marks: JsonObject;
  readonly segment: OpenSegment | null;
  /** Index of the target step that all open targets stand at; null: they are scattered. */
  readonly position: number | null;
  /** Segments dispatched so far. */
  readonly ordinal: number;
  /** Why the run is being ended from outside. */
  readonly stop: 'cancelled' | 'timed-out' | null;
  /** In the order in which it was begun. */
  readonly undo: readonly Undo[];
  readonly unwinding: Unwinding | null;
  /** What is known from the run that this one takes up; absent: it takes up none. */
  readonly memo?: Memo | undefined;
}

/**
 * Rises with each change of `EngineState`, or of the commands that stand open beside it. 1: had no number. 2: runs that steps called are
 * among what can be undone. 3: a segment that was cancelled may be dispatched once more, for `finally` alone.
 */
export const STATE_FORMAT = 3;

export const noCounts: TargetCounts = Object.freeze(
  Object.fromEntries(targetStates.map((state) => [state, 0])) as Record<TargetState, number>,
);

/** The state of a run before its `started` event. Throws FettleError `unavailable` for a program of another release. */
export function initialState(program: Program, memo?: Memo): EngineState {
  // A program that was stored by another release may have any number here.
  const format: number = program.format;
  if (format !== 2) {
    const message = `the run's program has format ${String(format)}, this worker knows format 2`;
    throw new FettleError({ code: 'unavailable', message, remedy: 'Update the worker.' });
  }
  return {
    format: STATE_FORMAT,
    phase: 'created',
    inputs: {},
    run: {},
    counts: noCounts,
    outputs: {},
    done: {},
    open: {},
    marks: {},
    segment: null,
    position: 0,
    ordinal: 0,
    stop: null,
    undo: [],
    unwinding: null,
    ...(memo === undefined ? {} : { memo }),
  };
}

/** The state while one event is worked in: the same, with members that can be set. */
export interface Draft {
  readonly format: EngineState['format'];
  phase: EngineState['phase'];
  inputs: JsonObject;
  run: JsonObject;
  counts: TargetCounts;
  outputs: Record<string, JsonValue>;
  done: Record<string, Outcome>;
  open: Record<string, OpenCommand>;
  marks: Record<string, JsonValue>;
  segment: OpenSegment | null;
  position: number | null;
  ordinal: number;
  stop: EngineState['stop'];
  undo: readonly Undo[];
  unwinding: Unwinding | null;
  memo?: Memo | undefined;
}

export function draftOf(state: EngineState): Draft {
  const { outputs, done, open, marks } = state;
  return { ...state, outputs: { ...outputs }, done: { ...done }, open: { ...open }, marks: { ...marks } };
}
