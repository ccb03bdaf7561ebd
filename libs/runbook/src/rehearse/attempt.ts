import { durationMs, FettleError, type ActionContract, type Effect, type StepState } from '@fettle/contracts';
import type { Variables } from '@fettle/expression';
import {
  conditionHolds,
  stepOutputs,
  targetStepDecision,
  type CompiledStep,
  type StepError,
} from '../engine/decide-step.js';
import { MAX_CONTROL_OUTPUT_BYTES } from '../engine/walk-base.js';
import type { ActionRegistry } from '../engine/program-nodes.js';
import type { TargetCode } from '../engine/target-code.js';
import { jsonSizeBytes, type JsonObject, type JsonValue } from '../json.js';
import { asObject, type ScriptedEnd } from './script.js';
import type { TargetRow } from './targets.js';

/** What more a target may keep of one step, as JSON. */
const MAX_TARGET_OUTPUT_BYTES = 65_536;
const repeatable: ReadonlySet<Effect | 'none'> = new Set(['none', 'read-only', 'idempotent']);

/** How an attempt ended. */
export interface Outcome {
  readonly state: Exclude<StepState, 'started'>;
  readonly exitCode: number | null;
  readonly error: StepError | null;
  readonly output: JsonValue;
  /** Of a step that is repeated until a condition holds: whether it does. */
  readonly holds?: boolean | undefined;
  /** Not to be tried again: its effect has happened. */
  readonly isFinal?: boolean | undefined;
}

export type Preparation =
  | { readonly kind: 'over'; readonly outcome: Outcome }
  | {
      readonly kind: 'execute';
      readonly action: ActionContract;
      readonly input: unknown;
      readonly effect: Effect;
      readonly timeoutMs: number;
    };

const over = (state: Outcome['state'], error: StepError | null = null): Preparation => ({
  kind: 'over',
  outcome: { state, exitCode: null, error, output: null },
});

/** Decides `if` and `with` of a step on one target, as a lane does. */
export function prepareTargetStep(
  code: TargetCode,
  compiled: CompiledStep,
  target: TargetRow,
  variables: Variables,
  actions: ActionRegistry,
): Preparation {
  const decision = targetStepDecision(compiled, variables);
  if (decision.kind === 'skip') return over('skipped');
  if (decision.kind === 'fail') return over('failed', decision.error);
  const where = `Input of step "${code.step.id}" on ${target.name}`;
  const prepared = prepareInput(code.step.uses, decision.input, code.step.timeout, where, actions);
  if (prepared.kind === 'over' || !target.asset.quarantined) return prepared;
  return over('quarantined', { code: 'asset-quarantined', message: `Asset ${target.name} is quarantined.` });
}

/** Checks the input of an action against its schema. */
export function prepareInput(
  uses: string,
  input: JsonObject,
  timeout: Parameters<typeof durationMs>[0] | undefined,
  where: string,
  actions: ActionRegistry,
): Preparation {
  const action = Object.hasOwn(actions, uses) ? actions[uses] : undefined;
  if (action === undefined) {
    return over('failed', { code: 'unknown-action', message: `This worker has no action "${uses}".` });
  }
  const parsed = action.input.safeParse(input);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const message = `${where}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}.`;
    return over('failed', { code: 'invalid-input', message });
  }
  const wantedMs = timeout === undefined ? action.defaultTimeoutMs : durationMs(timeout);
  const timeoutMs = Math.min(wantedMs, action.maxTimeoutMs);
  return { kind: 'execute', action, input: parsed.data, effect: action.effect(parsed.data), timeoutMs };
}

/** What an attempt that ran to its end comes to; `takesMs` is what it took. */
export function outcomeOf(
  scripted: ScriptedEnd,
  prepared: Extract<Preparation, { kind: 'execute' }>,
  step: {
    readonly outputs: Readonly<Record<string, string>> | null | undefined;
    readonly isControl: boolean;
    readonly condition?: string | undefined;
  },
  variables: Variables,
): Outcome {
  // What looks only, or does no harm twice, may be tried again.
  const isFinal = !(step.isControl && repeatable.has(prepared.effect));
  if (scripted.takesMs > prepared.timeoutMs) return timedOut(prepared, step.isControl);
  const { state, exitCode, error } = scripted;
  if (state !== 'succeeded') return { state, exitCode, error: error ?? errorOf(state), output: null };
  try {
    const seen = { ...variables, result: scripted.result } as Variables;
    const holds = step.condition === undefined ? {} : { holds: conditionHolds(step.condition, seen) };
    // A look that did not find what is waited for leaves nothing.
    if (holds.holds === false) return { state, exitCode, error: null, output: null, ...holds };
    const output = stepOutputs(step.outputs, seen);
    const sizeBytes = jsonSizeBytes(output);
    const maxBytes = step.isControl ? MAX_CONTROL_OUTPUT_BYTES : MAX_TARGET_OUTPUT_BYTES;
    if (sizeBytes <= maxBytes)
      return { state, exitCode, error: null, output: step.isControl ? output : asObject(output), ...holds };
    const message = `the step has ${sizeBytes} bytes of output for later steps, more than ${maxBytes}; declare "outputs"`;
    return { state: 'failed', exitCode, error: { code: 'output-too-large', message }, output: null, isFinal };
  } catch (failure) {
    if (!(failure instanceof FettleError)) throw failure;
    const { code, message } = failure;
    return { state: 'failed', exitCode, error: { code, message }, output: null, isFinal };
  }
}

/** A command on a target is ended for certain; a request to a service may have been carried out. */
function timedOut({ effect, timeoutMs }: Extract<Preparation, { kind: 'execute' }>, isControl: boolean): Outcome {
  const message = `it did not end within ${timeoutMs} ms${isControl ? '' : ' and was ended'}`;
  const state = isControl && !repeatable.has(effect) ? 'unknown' : 'failed';
  return {
    state,
    exitCode: null,
    error: { code: isControl ? 'request-timeout' : 'command-timeout', message },
    output: null,
  };
}

function errorOf(state: string): StepError {
  return { code: `step-${state}`, message: `it ended as ${state}, as mocked` };
}

/** What becomes of an attempt whose worker was lost: null: it is executed again under the same generation. */
export function outcomeOfCrash(effect: Effect | 'none', stepId: string): Outcome | null {
  if (repeatable.has(effect)) return null;
  const message = `The worker was lost while step "${stepId}" was in flight; it may or may not have happened.`;
  return { state: 'unknown', exitCode: null, error: { code: 'effect-uncertain', message }, output: null };
}

/** A request to a service that is given up may have been carried out. */
export function cancelledControl(effect: Effect | 'none'): Outcome {
  if (repeatable.has(effect)) return cancelledOutcome;
  const message = 'it was cancelled while it may have been carried out';
  return { state: 'unknown', exitCode: null, error: { code: 'cancel-unconfirmed', message }, output: null };
}

export const cancelledOutcome: Outcome = {
  state: 'cancelled',
  exitCode: null,
  error: { code: 'cancelled', message: 'it was cancelled and ended' },
  output: null,
};

/** A worker that is lost is noticed after its heartbeat's limit. */
export const CRASH_NOTICED_MS = 8_000;

/** How far into an attempt a fault strikes. */
export function faultAfterMs(scripted: ScriptedEnd, prepared: Extract<Preparation, { kind: 'execute' }>): number {
  return Math.floor(Math.min(scripted.takesMs, prepared.timeoutMs) / 2);
}
