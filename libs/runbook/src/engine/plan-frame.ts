import {
  FettleError,
  nestedSteps,
  walkSteps,
  type ActionContract,
  type PlannedNode,
  type PlannedWant,
  type RunbookSpec,
  type Step,
} from '@fettle/contracts';
import type { Expression, Template } from '@fettle/expression';
import type { JsonObject } from '../json.js';
import type { PlanBudget } from './plan-budget.js';
import type { PlanRequest } from './plan-request.js';
import type { Crowd } from './plan-standing.js';
import type { Known, LaterNames } from './plan-step.js';

/** A walk over the steps of a runbook: each yield is a breath, and nothing else. */
export type Walk<Result> = Generator<undefined, Result, undefined>;

/** Where in the plan a step stands. */
export interface Frame {
  readonly spec: RunbookSpec;
  readonly inputs: JsonObject;
  /** Before the ids of the steps: iterations, handlers and calls. */
  readonly prefix: string;
  /** `item`, where the step stands in iterations. */
  readonly item: JsonObject | null;
  /** Members of `inputs` and `item` that are not known yet. */
  readonly laterInputs: LaterNames;
  readonly laterItems: LaterNames;
  readonly crowd: Crowd;
  /** Runbooks around it that call each other, the outermost first. */
  readonly callers: readonly string[];
}

/** What the walk finds beside the nodes. */
export interface Found {
  readonly runbooks: Map<string, string>;
  readonly actions: Map<string, number>;
  readonly credentials: Map<string, Set<string>>;
  readonly approvals: { path: string; message: string | null }[];
  readonly capacity: PlannedWant[];
}

export interface Base {
  readonly path: string;
  readonly stepId: string;
  readonly name?: string;
}

export type Parsed<Result> = Result | { readonly error: { readonly code: string; readonly message: string } };

/** What the kinds of steps use of the walk that they are part of. */
export interface Walker {
  readonly request: PlanRequest;
  readonly found: Found;
  readonly budget: PlanBudget;
  steps(steps: readonly Step[], frame: Frame): Walk<PlannedNode[]>;
  runLevel(frame: Frame): Known;
  expression(source: string, origin: string): Parsed<{ expression: Expression }>;
  template(value: unknown, origin: string): Parsed<{ template: Template }>;
  action(uses: string, stepId: string): ActionContract;
  opens(credential: string, path: string): void;
}

/** The ids of a step and all in it. */
export function idsOf(step: Step): readonly string[] {
  return [...walkSteps([step])].map(({ id }) => id);
}

/** The ids of all that is inside of a step. */
export function innerIds(step: Step): readonly string[] {
  return nestedSteps(step).flatMap((list) => [...walkSteps(list.steps)].map(({ id }) => id));
}

/** What a plan says of what a step fails with. */
export function errorOf(error: unknown): { code: string; message: string } {
  if (!(error instanceof FettleError)) throw error;
  return { code: error.code, message: error.message };
}
