import { FettleError, targetStates, type TargetCounts, type TargetState } from '@fettle/contracts';
import type { JsonObject, JsonValue } from '../json.js';
import type { RunError, WaveReference } from './commands.js';
import type { Program } from './program-nodes.js';

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
}

/**
 * What the run level knows: JSON. Instances are named by their path; what has ended within a node that has ended itself is
 * forgotten, so that the state grows with what is open and with outputs, not with what was done.
 */
export interface EngineState {
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
}

export const noCounts: TargetCounts = Object.freeze(
  Object.fromEntries(targetStates.map((state) => [state, 0])) as Record<TargetState, number>,
);

/** The state of a run before its `started` event. Throws FettleError `unavailable` for a program of another release. */
export function initialState(program: Program): EngineState {
  // A program that was stored by another release may have any number here.
  const format: number = program.format;
  if (format !== 2) {
    const message = `the run's program has format ${String(format)}, this worker knows format 2`;
    throw new FettleError({ code: 'unavailable', message, remedy: 'Update the worker.' });
  }
  return {
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
  };
}

/** The state while one event is worked in: the same, with members that can be set. */
export interface Draft {
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
}

export function draftOf(state: EngineState): Draft {
  const { outputs, done, open, marks } = state;
  return { ...state, outputs: { ...outputs }, done: { ...done }, open: { ...open }, marks: { ...marks } };
}
