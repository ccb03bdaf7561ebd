import {
  durationMs,
  FettleError,
  type ActionContract,
  type RunbookSpec,
  type Step,
  type TargetShare,
} from '@fettle/contracts';
import type { JsonObject } from '../json.js';

/** What the engine must know of the actions a runbook uses; an `ActionRegistry` is one. */
export type ActionScopes = Readonly<
  Record<string, Pick<ActionContract, 'scope' | 'version' | 'defaultTimeoutMs' | 'maxTimeoutMs'>>
>;

/** Every action by its name, as `activities/contracts` exports it. */
export type ActionRegistry = Readonly<Record<string, ActionContract>>;

/** What the run level knows of a step that runs on targets; its body is read by the lanes from the stored version. */
export interface TargetStepReference {
  readonly id: string;
  readonly uses: string;
  readonly actionVersion: number;
}

/** A step that runs once for the run. */
export interface ControlStep extends TargetStepReference {
  readonly with: JsonObject;
  readonly if: string | null;
  /** Name -> CEL over `result`; null: the whole output of the action is kept. */
  readonly outputs: Readonly<Record<string, string>> | null;
  readonly retry: Step['retry'] | null;
  readonly timeoutMs: number;
  readonly onError: Step['onError'];
}

/**
 * A node of the run level. `path` names it in commands, events and the journal: the id of the control step, or of the first
 * step of a segment (ids are unique in a runbook, so both are stable and never collide).
 */
export type ProgramNode =
  | { readonly kind: 'targets'; readonly path: string; readonly steps: readonly TargetStepReference[] }
  | { readonly kind: 'control'; readonly path: string; readonly step: ControlStep };

/** What the run level decides of a rollout: which wave comes next, and when no more do. */
export interface ProgramRollout {
  /** Null: each segment is dispatched whole. */
  readonly waves: readonly TargetShare[] | null;
  /** Null: any number of failures. */
  readonly maxFailures: TargetShare | null;
  /** Between two waves of a segment. */
  readonly soakMs: number;
}

/** The run level of one runbook version: JSON, small, and the same for the same version and actions. */
export interface Program {
  readonly format: 1;
  readonly timeoutMs: number;
  readonly maxConcurrency: number;
  /** Absent: neither waves nor a limit of failures. */
  readonly rollout?: ProgramRollout | undefined;
  readonly nodes: readonly ProgramNode[];
}

/**
 * The program of a runbook: runs of consecutive target steps become segments, control steps stand alone. Throws FettleError
 * `invalid-document` for an action that is not known (validation finds it earlier, with its place).
 */
export function compileProgram(spec: RunbookSpec, actions: ActionScopes): Program {
  const nodes: ProgramNode[] = [];
  let segment: TargetStepReference[] = [];
  for (const step of spec.steps) {
    const action = actionOf(step, actions);
    const reference: TargetStepReference = { id: step.id, uses: step.uses, actionVersion: action.version };
    if (action.scope === 'control') {
      segment = [];
      nodes.push({ kind: 'control', path: step.id, step: controlStep(step, reference, action.defaultTimeoutMs) });
      continue;
    }
    if (segment.length === 0) {
      segment = [];
      nodes.push({ kind: 'targets', path: step.id, steps: segment });
    }
    segment.push(reference);
  }
  const rollout = programRollout(spec);
  return {
    format: 1,
    timeoutMs: durationMs(spec.timeout),
    maxConcurrency: spec.rollout.maxConcurrency,
    ...(rollout === null ? {} : { rollout }),
    nodes,
  };
}

function programRollout({ rollout }: RunbookSpec): ProgramRollout | null {
  const { waves = null, maxFailures = null, soak } = rollout;
  if (waves === null && maxFailures === null) return null;
  return { waves, maxFailures, soakMs: soak === undefined ? 0 : durationMs(soak) };
}

function actionOf(step: Step, actions: ActionScopes): ActionScopes[string] {
  const action = Object.hasOwn(actions, step.uses) ? actions[step.uses] : undefined;
  if (action !== undefined) return action;
  throw new FettleError({
    code: 'invalid-document',
    message: `step "${step.id}" uses "${step.uses}", which is not an action of this server`,
    remedy: 'Run `fettle validate -f FILE` to see the known actions, or update the server.',
  });
}

function controlStep(step: Step, reference: TargetStepReference, defaultTimeoutMs: number): ControlStep {
  return {
    ...reference,
    with: step.with as JsonObject,
    if: step.if ?? null,
    outputs: step.outputs ?? null,
    retry: step.retry ?? null,
    timeoutMs: step.timeout === undefined ? defaultTimeoutMs : durationMs(step.timeout),
    onError: step.onError,
  };
}
