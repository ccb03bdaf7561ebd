import {
  countFailures,
  failureStates,
  FettleError,
  targetStates,
  type Step,
  type TargetCounts,
  type TargetState,
} from '@fettle/contracts';
import { jsonSizeBytes, type JsonObject, type JsonValue } from '../json.js';
import { compileStep, decideStep, type StepError } from './decide-step.js';
import { failureLimit, waveEnds } from '../rollout/wave-arithmetic.js';
import type { ControlStep, Program, ProgramNode } from './program.js';

/** What the output of a control step may hold at most, as JSON: it lives in the history of the workflow. */
export const MAX_CONTROL_OUTPUT_BYTES = 4096;

/** What the run level knows: JSON, at most a few KiB for each control step that ended. */
export interface EngineState {
  readonly phase: 'created' | 'running' | 'ended';
  /** Index of the node that is waited for while running. */
  readonly at: number;
  readonly inputs: JsonObject;
  /** What expressions read as `run`, besides `run.counts`. */
  readonly run: JsonObject;
  readonly counts: TargetCounts;
  /** Outputs of the control steps that succeeded, by step id. */
  readonly outputs: Readonly<Record<string, JsonValue>>;
  /** The wave that is waited for, or that was the last before the soak; absent: the segment has none. */
  readonly wave?: WaveReference | undefined;
  /** True while the time between two waves passes. */
  readonly soaking?: boolean | undefined;
}

/** One wave of a rollout, from 1. */
export interface WaveReference {
  readonly number: number;
  readonly of: number;
}

export type EngineEvent =
  | {
      readonly kind: 'started';
      /** With defaults. */
      readonly inputs: JsonObject;
      readonly targetCounts: TargetCounts;
      /** Small facts of the run for expressions, e.g. `{id, runbook}`. */
      readonly run?: JsonObject | undefined;
    }
  /** `counts` are those of all targets of the run; targets that go on to later segments are `pending`. */
  | {
      readonly kind: 'segment-ended';
      readonly path: string;
      readonly counts: TargetCounts;
      /** Number of the wave that was dispatched; absent where the command had none. */
      readonly wave?: number | undefined;
      /** True: no target of the wave was left, so that there is nothing to wait for before the next. */
      readonly isEmpty?: boolean | undefined;
    }
  | { readonly kind: 'waited'; readonly path: string; readonly wave: number }
  | {
      readonly kind: 'control-ended';
      readonly stepId: string;
      readonly state: 'succeeded' | 'failed' | 'skipped' | 'cancelled' | 'unknown';
      /** As `stepOutputs` makes it of the action's result. */
      readonly output?: JsonValue | undefined;
      readonly error?: StepError | undefined;
    }
  | { readonly kind: 'cancel-requested' }
  | { readonly kind: 'timed-out' };

export interface RunError extends StepError {
  /** The control step that failed, where it is one. */
  readonly stepId?: string | undefined;
}

export type EngineCommand =
  | {
      readonly kind: 'dispatch-segment';
      readonly path: string;
      readonly stepIds: readonly string[];
      /** Only the targets of this wave; absent: all of them. */
      readonly wave?: WaveReference | undefined;
    }
  /** Lets time pass after a wave. */
  | { readonly kind: 'wait'; readonly path: string; readonly wave: number; readonly durationMs: number }
  | {
      readonly kind: 'run-control';
      readonly stepId: string;
      readonly uses: string;
      readonly actionVersion: number;
      /** `with` after rendering; the activity checks it against the action's schema. */
      readonly input: JsonObject;
      readonly outputs: Readonly<Record<string, string>> | null;
      readonly retry: Step['retry'] | null;
      readonly timeoutMs: number;
    }
  /** The step's condition is false. */
  | { readonly kind: 'skip-control'; readonly stepId: string }
  /** The step cannot even start: its condition is undetermined or its input cannot be rendered. */
  | { readonly kind: 'fail-control'; readonly stepId: string; readonly error: StepError }
  /** The last command of a run; there is exactly one. */
  | {
      readonly kind: 'finish';
      readonly state: 'succeeded' | 'failed' | 'cancelled' | 'timed-out';
      readonly error?: RunError | undefined;
    };

export interface Advance {
  readonly state: EngineState;
  /** In the order in which they are to be carried out; at most one of them is waited for (dispatch-segment, wait, run-control). */
  readonly commands: readonly EngineCommand[];
}

const noCounts: TargetCounts = Object.freeze(
  Object.fromEntries(targetStates.map((state) => [state, 0])) as Record<TargetState, number>,
);

/** The state of a run before its `started` event. Throws FettleError `unavailable` for a program of a later release. */
export function initialState(program: Program): EngineState {
  if (program.format !== 1) {
    const message = `the run's program has format ${String(program.format)}, this worker knows format 1`;
    throw new FettleError({ code: 'unavailable', message, remedy: 'Update the worker.' });
  }
  return { phase: 'created', at: 0, inputs: {}, run: {}, counts: noCounts, outputs: {} };
}

/**
 * What to do next. Pure: the same program and events give the same commands. An event that is not waited for (a repeated one,
 * one of another step, any after the end) changes nothing, so that delivery may be at least once.
 */
export function advance(program: Program, state: EngineState, event: EngineEvent): Advance {
  if (state.phase === 'ended') return { state, commands: [] };
  switch (event.kind) {
    case 'cancel-requested':
      return finish(state, [], 'cancelled');
    case 'timed-out':
      return finish(state, [], 'timed-out', {
        code: 'run-timed-out',
        message: `the run took longer than its ${program.timeoutMs / 1000} s`,
      });
    case 'started': {
      if (state.phase !== 'created') return { state, commands: [] };
      const { inputs, targetCounts, run = {} } = event;
      return proceed(program, { ...state, phase: 'running', at: 0, inputs, run, counts: targetCounts }, 0);
    }
    case 'segment-ended': {
      const node = waitedFor(program, state);
      if (node?.kind !== 'targets' || node.path !== event.path) return { state, commands: [] };
      if (state.soaking === true || state.wave?.number !== event.wave) return { state, commands: [] };
      return segmentEnded(program, { ...state, counts: event.counts }, node, event.isEmpty === true);
    }
    case 'waited': {
      const node = waitedFor(program, state);
      const { wave } = state;
      const isOurs = node?.kind === 'targets' && node.path === event.path && wave?.number === event.wave;
      if (!isOurs || state.soaking !== true) return { state, commands: [] };
      return dispatch(withoutWave(state), node, [], { number: wave.number + 1, of: wave.of });
    }
    case 'control-ended': {
      const node = waitedFor(program, state);
      if (node?.kind !== 'control' || node.path !== event.stepId) return { state, commands: [] };
      return controlEnded(program, state, node.step, event);
    }
  }
}

function waitedFor(program: Program, state: EngineState): ProgramNode | undefined {
  return state.phase === 'running' ? program.nodes[state.at] : undefined;
}

type TargetsNode = Extract<ProgramNode, { kind: 'targets' }>;

function withoutWave({ wave: _wave, soaking: _soaking, ...state }: EngineState): EngineState {
  return state;
}

/** After a wave comes the next one, perhaps after a wait; after the last, and where too many targets failed, the way goes on. */
function segmentEnded(program: Program, state: EngineState, node: TargetsNode, isEmpty: boolean): Advance {
  const error = failureError(program, state.counts);
  if (error !== undefined) return finish(withoutWave(state), [], 'failed', error);
  const { wave } = state;
  const soakMs = program.rollout?.soakMs ?? 0;
  // Nothing is pending any more: the targets of later waves left the run in an earlier segment.
  if (wave === undefined || wave.number >= wave.of || state.counts.pending === 0)
    return proceed(program, withoutWave(state), state.at + 1);
  if (soakMs === 0 || isEmpty) return dispatch(withoutWave(state), node, [], { number: wave.number + 1, of: wave.of });
  const wait: EngineCommand = { kind: 'wait', path: node.path, wave: wave.number, durationMs: soakMs };
  return { state: { ...state, soaking: true }, commands: [wait] };
}

function dispatch(
  state: EngineState,
  node: TargetsNode,
  before: readonly EngineCommand[],
  wave: WaveReference | undefined,
): Advance {
  const command: EngineCommand = {
    kind: 'dispatch-segment',
    path: node.path,
    stepIds: node.steps.map((step) => step.id),
    ...(wave === undefined ? {} : { wave }),
  };
  return { state: wave === undefined ? state : { ...state, wave }, commands: [...before, command] };
}

/** The first wave of a segment; undefined: the runbook has none. */
function firstWave(program: Program, counts: TargetCounts): WaveReference | undefined {
  const waves = program.rollout?.waves ?? null;
  return waves === null ? undefined : { number: 1, of: waveEnds(waves, countTargets(counts)).length };
}

function countTargets(counts: TargetCounts): number {
  return targetStates.reduce((sum, state) => sum + counts[state], 0);
}

/** Why a rollout stops: more targets failed than it bears. */
function failureError(program: Program, counts: TargetCounts): RunError | undefined {
  const total = countTargets(counts);
  const limit = failureLimit(program.rollout?.maxFailures, total);
  const failures = countFailures(counts);
  if (limit === null || failures <= limit) return undefined;
  const list = failureStates.filter((state) => counts[state] > 0).map((state) => `${counts[state]} ${state}`);
  const left = counts.pending + counts.cancelled;
  const rest = left === 0 ? '' : `; ${left} more went no further`;
  const message = `${failures} of ${total} targets failed (${list.join(', ')}), more than the limit of ${limit}${rest}`;
  return { code: 'failure-limit', message };
}

function controlEnded(
  program: Program,
  state: EngineState,
  step: ControlStep,
  event: Extract<EngineEvent, { kind: 'control-ended' }>,
): Advance {
  const { output = null } = event;
  if (event.state === 'skipped') return proceed(program, state, state.at + 1);
  if (event.state === 'succeeded' && jsonSizeBytes(output) <= MAX_CONTROL_OUTPUT_BYTES) {
    const outputs = output === null ? state.outputs : { ...state.outputs, [step.id]: output };
    return proceed(program, { ...state, outputs }, state.at + 1);
  }
  const error = event.error ?? endError(event.state);
  if (step.onError === 'continue') return proceed(program, state, state.at + 1);
  return finish(state, [], 'failed', controlError(step, error));
}

function endError(state: string): StepError {
  if (state === 'succeeded') {
    const message = `its output is larger than ${MAX_CONTROL_OUTPUT_BYTES} bytes; declare "outputs" with what later steps need`;
    return { code: 'output-too-large', message };
  }
  return { code: `step-${state}`, message: `it ended as ${state}` };
}

function controlError(step: ControlStep, error: StepError): RunError {
  return { code: error.code, message: `step "${step.id}" failed: ${error.message}`, stepId: step.id };
}

/** Goes on from a node to the next one that must be waited for, or to the end. */
function proceed(program: Program, state: EngineState, from: number): Advance {
  const commands: EngineCommand[] = [];
  for (let at = from; at < program.nodes.length; at += 1) {
    const node = program.nodes[at];
    if (node === undefined) break;
    if (node.kind === 'targets') {
      // Targets that failed, or were never there, take no part in later segments.
      if (state.counts.pending + state.counts.succeeded === 0) continue;
      return dispatch({ ...state, at }, node, commands, firstWave(program, state.counts));
    }
    const command = controlCommand(node.step, state);
    commands.push(command);
    if (command.kind === 'run-control') return { state: { ...state, at }, commands };
    if (command.kind === 'fail-control' && node.step.onError === 'fail') {
      return finish(state, commands, 'failed', controlError(node.step, command.error));
    }
  }
  const error = targetsError(program, state.counts);
  return finish(state, commands, error === undefined ? 'succeeded' : 'failed', error);
}

function controlCommand(step: ControlStep, state: EngineState): EngineCommand {
  const { counts, inputs, outputs, run } = state;
  const decision = decideStep(compileStep(step, 'run'), { inputs, steps: outputs, run: { ...run, counts } });
  if (decision.kind === 'skip') return { kind: 'skip-control', stepId: step.id };
  if (decision.kind === 'fail') return { kind: 'fail-control', stepId: step.id, error: decision.error };
  const { id: stepId, uses, actionVersion, outputs: declared, retry, timeoutMs } = step;
  return {
    kind: 'run-control',
    stepId,
    uses,
    actionVersion,
    input: decision.input,
    outputs: declared,
    retry,
    timeoutMs,
  };
}

/** Why the targets keep a run from success: any that is neither succeeded nor skipped. */
function targetsError(program: Program, counts: TargetCounts): RunError | undefined {
  // A runbook of control steps only has no say over targets.
  if (!program.nodes.some((node) => node.kind === 'targets')) return undefined;
  const others = targetStates.filter((state) => state !== 'succeeded' && state !== 'skipped' && counts[state] > 0);
  if (others.length === 0) return undefined;
  const total = countTargets(counts);
  const bad = others.reduce((sum, state) => sum + counts[state], 0);
  const list = others.map((state) => `${counts[state]} ${state}`).join(', ');
  return { code: 'targets-failed', message: `${bad} of ${total} targets did not succeed: ${list}` };
}

function finish(
  state: EngineState,
  commands: readonly EngineCommand[],
  outcome: Extract<EngineCommand, { kind: 'finish' }>['state'],
  error?: RunError,
): Advance {
  const last: EngineCommand = { kind: 'finish', state: outcome, ...(error === undefined ? {} : { error }) };
  return { state: { ...state, phase: 'ended' }, commands: [...commands, last] };
}
