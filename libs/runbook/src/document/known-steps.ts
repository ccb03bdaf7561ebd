import {
  isActionStep,
  nestedSteps,
  type ActionContract,
  type ActionStep,
  type RunbookSpec,
  type Step,
  type WaitStep,
} from '@fettle/contracts';
import { z } from 'zod';
import type { ActionRegistry } from '../engine/program-nodes.js';
import { isRecord, type JsonPath } from '../json.js';

/** How deep steps may stand inside of each other, and how many there may be, those of handlers included. */
export const stepLimits = Object.freeze({ maxDepth: 10, maxSteps: 500 });

/** Where a step is carried out: by each target, or once for the run. `unknown`: an action is not known. */
export type StepLevel = 'target' | 'run' | 'unknown';

/** A step of a runbook with its place and what it uses, where that is known. */
export interface KnownStep {
  readonly step: Step;
  readonly path: JsonPath;
  /** Of the step itself, or of the `wait` that repeats it. */
  readonly action: ActionContract | undefined;
  readonly level: StepLevel;
  /** How many steps stand around it, itself included. */
  readonly depth: number;
}

/** Every step of a runbook, however deep, those of its handlers included. */
export class KnownSteps {
  readonly all: readonly KnownStep[];
  /** The first one of each id. */
  readonly byId: ReadonlyMap<string, KnownStep>;
  readonly #actions: ActionRegistry;
  readonly #byStep = new Map<Step, KnownStep>();

  constructor(spec: Pick<RunbookSpec, 'steps' | 'handlers'>, actions: ActionRegistry) {
    this.#actions = actions;
    const all: KnownStep[] = [];
    this.#collect(spec.steps, ['spec', 'steps'], 1, all);
    for (const [name, steps] of Object.entries(spec.handlers ?? {})) {
      this.#collect(steps, ['spec', 'handlers', name], 1, all);
    }
    this.all = all;
    const byId = new Map<string, KnownStep>();
    for (const known of all) if (!byId.has(known.step.id)) byId.set(known.step.id, known);
    this.byId = byId;
  }

  of(step: Step): KnownStep {
    const known = this.#byStep.get(step);
    if (known === undefined) throw new TypeError(`the step "${step.id}" is not of this runbook`);
    return known;
  }

  levelOf(step: Step): StepLevel {
    if (isActionStep(step)) return levelOfAction(this.#actionOf(step));
    return 'try' in step ? this.levelOfAll(nestedSteps(step).flatMap((list) => list.steps)) : 'run';
  }

  /** Of steps that are carried out together: target level only where all of them are. */
  levelOfAll(steps: readonly Step[]): StepLevel {
    const levels = steps.map((step) => this.#byStep.get(step)?.level ?? this.levelOf(step));
    if (levels.includes('run')) return 'run';
    return levels.includes('unknown') ? 'unknown' : 'target';
  }

  #collect(steps: readonly Step[], path: JsonPath, depth: number, all: KnownStep[]): void {
    for (const [index, step] of steps.entries()) {
      const at = [...path, index];
      const inner: KnownStep[] = [];
      for (const list of nestedSteps(step)) this.#collect(list.steps, [...at, ...list.path], depth + 1, inner);
      // The steps inside are known first, so that none is looked at more than once.
      const known = { step, path: at, action: this.#actionOf(step), level: this.levelOf(step), depth };
      this.#byStep.set(step, known);
      all.push(known, ...inner);
    }
  }

  #actionOf(step: Step): ActionContract | undefined {
    const uses = usedAction(step);
    return uses !== undefined && Object.hasOwn(this.#actions, uses) ? this.#actions[uses] : undefined;
  }
}

function levelOfAction(action: ActionContract | undefined): StepLevel {
  return action === undefined ? 'unknown' : action.scope === 'target' ? 'target' : 'run';
}

/** The action that a step carries out itself or repeats. */
export function usedAction(step: Step): string | undefined {
  return isActionStep(step) ? step.uses : pollOf(step)?.uses;
}

/** What a `wait` repeats; undefined for any other step. */
export function pollOf(
  step: Step,
): (Extract<WaitStep['wait'], { uses: string }> & Pick<ActionStep, 'uses'>) | undefined {
  return 'wait' in step && 'uses' in step.wait ? step.wait : undefined;
}

/** What later steps can read of a step as `steps.<id>.<name>`; null where it is not known beforehand. */
export function outputNames(
  { step, action }: KnownStep,
  calledOutputs: (step: Step) => readonly string[] | null,
): readonly string[] | null {
  if ('outputs' in step && step.outputs !== undefined) return Object.keys(step.outputs);
  return 'forEach' in step ? [] : resultNames({ step, action }, calledOutputs);
}

/** What a step's own `outputs` and a wait's `condition` can read as `result.<name>`; null where it is no object or not known. */
export function resultNames(
  { step, action }: Pick<KnownStep, 'step' | 'action'>,
  calledOutputs: (step: Step) => readonly string[] | null,
): readonly string[] | null {
  if (usedAction(step) !== undefined) return outputMembers(action);
  if ('forEach' in step) return null;
  if ('call' in step) return calledOutputs(step);
  if ('wait' in step && 'signal' in step.wait) {
    const { properties, additionalProperties } = step.wait.payload;
    return additionalProperties === false && isRecord(properties) ? Object.keys(properties) : null;
  }
  return [];
}

/** The members of what an action gives back. */
export function outputMembers(action: ActionContract | undefined): readonly string[] | null {
  return action?.output instanceof z.ZodObject ? Object.keys(action.output.shape) : null;
}
