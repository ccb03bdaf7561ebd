import {
  FettleError,
  isActionStep,
  targetStates,
  walkSteps,
  type ActionContract,
  type Effect,
  type Rendered,
  type RunbookSpec,
  type TargetCounts,
} from '@fettle/contracts';
import {
  evaluateCondition,
  references,
  renderCompiled,
  type AssetView,
  type Expression,
  type Variables,
} from '@fettle/expression';
import { digestOf, type JsonObject } from '../json.js';
import { waveEnds, waveSizes } from '../rollout/wave-arithmetic.js';
import { compileStep, type CompiledStep, type StepError } from './decide-step.js';
import type { ActionRegistry } from './program-nodes.js';

export interface PlanTarget {
  readonly assetId: string;
  readonly name: string;
  readonly asset: AssetView;
}

export interface PlanRequest {
  /** Digest of the runbook's version. */
  readonly version: string;
  readonly spec: RunbookSpec;
  readonly actions: ActionRegistry;
  /** With defaults. */
  readonly inputs: JsonObject;
  readonly targets: readonly PlanTarget[];
}

/** What one step would do on one target, or once for the run. */
export type PlannedStep = {
  readonly stepId: string;
  readonly uses: string;
} & (
  | { readonly outcome: 'skip' }
  | { readonly outcome: 'fail'; readonly error: StepError }
  | {
      readonly outcome: 'run';
      readonly effect: Effect;
      readonly rendered: Rendered;
      /** Steps whose outputs stand as `(known after <step>)` in `rendered`; the condition may depend on them, too. */
      readonly knownAfter: readonly string[];
    }
  /** Nothing can be shown before the named steps have ended: the input's shape, or whether it runs, depends on them. */
  | { readonly outcome: 'unknown'; readonly knownAfter: readonly string[] }
);

export interface Plan {
  readonly format: 1;
  readonly version: string;
  readonly inputs: JsonObject;
  /** Sorted ids of the targets, and their digest. */
  readonly targetSet: readonly string[];
  readonly targetSetDigest: string;
  /** Waves with the number of their targets, which follows from version and target set; absent: the runbook has none. */
  readonly waves?: readonly { readonly number: number; readonly targets: number }[];
  readonly control: readonly PlannedStep[];
  readonly targets: readonly {
    readonly assetId: string;
    readonly name: string;
    readonly steps: readonly PlannedStep[];
  }[];
  /** Of version, inputs, target set, everything rendered and its effects: what an approval is given to. */
  readonly digest: string;
}

/** Above this number of targets a plan is not rendered whole. */
const MAX_PLANNED_TARGETS = 10_000;

/** How a value is shown that an earlier step will yield. */
export function knownAfterText(stepIds: readonly string[]): string {
  return `(known after ${stepIds.join(', ')})`;
}

/**
 * What a run would do, without doing it: for every target and step the argument vectors, files and calls from the action's own
 * `render`. The same request gives the same plan and digest. Throws FettleError `too-many-targets` above 10,000 targets and
 * `invalid-document` for an action that is not known.
 */
export function planProgram({ version, spec, actions, inputs, targets }: PlanRequest): Plan {
  if (targets.length > MAX_PLANNED_TARGETS) {
    throw new FettleError({
      code: 'too-many-targets',
      message: `a plan shows at most ${MAX_PLANNED_TARGETS} targets, these are ${targets.length}`,
      remedy: 'Narrow the targets with `--on`.',
    });
  }
  const steps = [...walkSteps(spec.steps)].filter(isActionStep).map((step): PlanStep => {
    const action = Object.hasOwn(actions, step.uses) ? actions[step.uses] : undefined;
    if (action === undefined) {
      throw new FettleError({
        code: 'invalid-document',
        message: `step "${step.id}" uses "${step.uses}", which is not an action`,
      });
    }
    const compiled = compileStep(step, action.scope === 'control' ? 'run' : 'target');
    return { id: step.id, uses: step.uses, action, with: step.with, compiled };
  });
  const sorted = [...targets].sort((a, b) => (a.assetId < b.assetId ? -1 : a.assetId > b.assetId ? 1 : 0));
  const control = steps
    .filter(({ action }) => action.scope === 'control')
    .map((step) => planStep(step, { inputs }, { assetId: '', name: '' }));
  const onTargets = steps.filter(({ action }) => action.scope === 'target');
  const planned = sorted.map(({ assetId, name, asset }) => ({
    assetId,
    name,
    steps: onTargets.map((step) => planStep(step, { inputs, asset }, { assetId, name })),
  }));
  const targetSet = sorted.map((target) => target.assetId);
  const targetSetDigest = digestOf(targetSet);
  const body = { format: 1 as const, version, inputs, targetSetDigest, control, targets: planned };
  const { waves } = spec.rollout;
  const sizes = waves === undefined ? [] : waveSizes(waveEnds(waves, sorted.length));
  const listed = sizes.map((count, index) => ({ number: index + 1, targets: count }));
  return { ...body, ...(waves === undefined ? {} : { waves: listed }), targetSet, digest: digestOf(body) };
}

interface PlanStep {
  readonly id: string;
  readonly uses: string;
  readonly action: ActionContract;
  readonly with: unknown;
  readonly compiled: CompiledStep;
}

/** Steps, or `run`, that an expression reads and that are not known before the run. */
function readsLater(expression: Expression): readonly string[] {
  return references(expression).flatMap((path) => {
    const [variable, name] = path.split('.');
    if (variable === 'steps') return [name ?? 'earlier steps'];
    return variable === 'run' ? ['the start'] : [];
  });
}

function planStep(step: PlanStep, variables: Variables, target: { assetId: string; name: string }): PlannedStep {
  const { id: stepId, uses, compiled } = step;
  const { condition, template, error } = compiled;
  if (error !== null || template === null) return fail(step, error ?? { code: 'internal', message: 'not compiled' });
  const later = new Set(condition === null ? [] : readsLater(condition));
  try {
    if (condition !== null) {
      // A condition may be decided by what is known: `false && steps.x.y` skips whatever the step yields.
      const truth = evaluateCondition(condition, variables);
      if (truth === false) return { stepId, uses, outcome: 'skip' };
      if (truth === true) later.clear();
      else if (later.size === 0) {
        const message = `the condition \`${condition.source}\` cannot be determined`;
        return fail(step, { code: 'condition-undetermined', message });
      }
    }
    for (const { expression } of template.expressions) for (const name of readsLater(expression)) later.add(name);
    const input = renderKnown(step, variables);
    return renderStep(step, input, target, [...later].sort());
  } catch (failure) {
    if (!(failure instanceof FettleError)) throw failure;
    return fail(step, { code: failure.code, message: failure.message });
  }
}

function fail({ id: stepId, uses }: PlanStep, error: StepError): PlannedStep {
  return { stepId, uses, outcome: 'fail', error };
}

/** `with` with what is known rendered, and a text in the place of each string that reads what is not. */
function renderKnown({ with: value, compiled }: PlanStep, variables: Variables): unknown {
  const unknown = new Map<string, readonly string[]>();
  for (const { path, expression } of compiled.template?.expressions ?? []) {
    const later = readsLater(expression);
    if (later.length > 0) unknown.set(path, [...(unknown.get(path) ?? []), ...later]);
  }
  if (compiled.template !== null && unknown.size === 0) return renderCompiled(compiled.template, variables);
  return replaceUnknown(value, unknown, variables);
}

function replaceUnknown(
  value: unknown,
  unknown: ReadonlyMap<string, readonly string[]>,
  variables: Variables,
): unknown {
  const template = compileStep({ with: maskUnknown(value, 'with', unknown) }, 'target').template;
  return template === null ? value : renderCompiled(template, variables);
}

function maskUnknown(value: unknown, path: string, unknown: ReadonlyMap<string, readonly string[]>): unknown {
  if (typeof value === 'string') {
    const names = unknown.get(path);
    return names === undefined ? value : knownAfterText([...new Set(names)].sort());
  }
  if (Array.isArray(value)) return value.map((item, index) => maskUnknown(item, `${path}[${index}]`, unknown));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, item]) => [key, maskUnknown(item, memberPath(path, key), unknown)]);
  return Object.fromEntries(entries) as unknown;
}

/** As the expression room writes the path of a member. */
function memberPath(path: string, key: string): string {
  return /^[A-Za-z_][A-Za-z0-9_-]*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key.slice(0, 60))}]`;
}

function renderStep(
  step: PlanStep,
  input: unknown,
  target: { readonly assetId: string; readonly name: string },
  knownAfter: readonly string[],
): PlannedStep {
  const { id: stepId, uses, action } = step;
  const parsed = action.input.safeParse(input);
  if (!parsed.success) {
    // The text in the place of a value that is not known yet need not be what the schema asks for.
    if (knownAfter.length > 0) return { stepId, uses, outcome: 'unknown', knownAfter };
    const [issue] = parsed.error.issues;
    const where = issue === undefined || issue.path.length === 0 ? 'with' : `with.${issue.path.map(String).join('.')}`;
    return fail(step, { code: 'invalid-inputs', message: `${where}: ${issue?.message ?? 'is wrong'}` });
  }
  const rendered = action.render(parsed.data, target);
  return { stepId, uses, outcome: 'run', effect: action.effect(parsed.data), rendered, knownAfter };
}

/** How many planned steps have each outcome, and each effect among those that run: the head of a printed plan. */
export function planSummary(plan: Plan): {
  readonly outcomes: Readonly<Record<string, number>>;
  readonly effects: Readonly<Record<string, number>>;
} {
  const outcomes: Record<string, number> = {};
  const effects: Record<string, number> = {};
  for (const step of [...plan.control, ...plan.targets.flatMap((target) => target.steps)]) {
    outcomes[step.outcome] = (outcomes[step.outcome] ?? 0) + 1;
    if (step.outcome === 'run') effects[step.effect] = (effects[step.effect] ?? 0) + 1;
  }
  return { outcomes, effects };
}

/** Counters of a run before its start: all targets are pending. */
export function pendingCounts(targets: number): TargetCounts {
  return Object.fromEntries(targetStates.map((state) => [state, state === 'pending' ? targets : 0])) as TargetCounts;
}
