import {
  FettleError,
  isActionStep,
  type ActionContract,
  type ActionStep,
  type PlannedAction,
  type PlannedGate,
  type PlannedNode,
  type PlannedRollback,
  type PlannedVariant,
  type Step,
} from '@fettle/contracts';
import { compileTemplate, parseExpression, type Expression, type Template, type Variables } from '@fettle/expression';
import { canonicalJson } from '../json.js';
import { compileStep, type CompiledStep } from './decide-step.js';
import { PlanBudget } from './plan-budget.js';
import {
  errorOf,
  idsOf,
  type Base,
  type Frame,
  type Found,
  type Parsed,
  type Walk,
  type Walker,
} from './plan-frame.js';
import { planApproval, planCall, planChoose, planForEach, planParallel, planTry, planWait } from './plan-kinds.js';
import type { PlanRequest } from './plan-request.js';
import { fork, forkOn, join, silence, type Crowd, type Standing } from './plan-standing.js';
import { planCondition, planStep, type Known, type PlannedStep, type PlanStep } from './plan-step.js';
import { plannedWants } from './plan-wants.js';

/** Renderings between two breaths: planning thousands of targets must not hold up whoever else is served. */
const BREATH = 256;

export class PlanWalk implements Walker {
  readonly found: Found = {
    runbooks: new Map(),
    actions: new Map(),
    credentials: new Map(),
    approvals: [],
    capacity: [],
  };
  readonly budget = new PlanBudget();
  readonly #compiled = new Map<object, CompiledStep>();
  #rendered = 0;

  constructor(readonly request: PlanRequest) {}

  *steps(steps: readonly Step[], frame: Frame): Walk<PlannedNode[]> {
    const nodes: PlannedNode[] = [];
    for (const step of steps) nodes.push(yield* this.#step(step, frame));
    return nodes;
  }

  /** A step with the handler that it names: as the run has it, a `try` whose `catch` the handler is. */
  *#step(step: Step, frame: Frame): Walk<PlannedNode> {
    this.budget.node();
    const handler = frame.spec.handlers?.[step.onError];
    if (handler === undefined || step.onError === 'fail' || step.onError === 'continue') {
      return yield* this.#plain(step, step.onError === 'continue', frame);
    }
    const body = fork(frame.crowd);
    const node = yield* this.#plain(step, false, { ...frame, crowd: body });
    const caught = forkOn(body);
    const prefix = `${frame.prefix}${step.id}!${step.onError}/`;
    const steps = yield* this.steps(handler, { ...frame, prefix, crowd: caught });
    join(frame.crowd, forkOn(body), false);
    join(frame.crowd, caught, false);
    return { ...node, handler: { name: step.onError, steps } };
  }

  *#plain(step: Step, passesOver: boolean, frame: Frame): Walk<PlannedNode> {
    if (isActionStep(step)) return yield* this.#action(step, passesOver, frame);
    const base = this.base(step, frame);
    const gate = this.#gate(step, frame);
    this.#wants(step, frame);
    if (gate.outcome === 'fail' && !passesOver) stop(frame.crowd, step.id);
    const isClosed = gate.outcome === 'skip' || gate.outcome === 'fail' || gate.outcome === 'not-reached';
    if (isClosed) silence(frame.crowd, idsOf(step));
    // Where it is not sure that the step is carried out, nothing it does is sure either.
    const crowd = gate.outcome === 'run' ? frame.crowd : fork(frame.crowd);
    const before = passesOver ? fork(crowd) : null;
    const node = yield* this.#flow(step, { ...base, gate }, isClosed, { ...frame, crowd });
    if (gate.outcome === 'unknown') join(frame.crowd, crowd, false);
    if (before !== null && gate.outcome === 'run') restoreStops(crowd, before);
    return node;
  }

  #flow(
    step: Exclude<Step, ActionStep>,
    base: Base & { gate: PlannedGate },
    isClosed: boolean,
    frame: Frame,
  ): Walk<PlannedNode> {
    if ('parallel' in step) return planParallel(this, step, base, isClosed, frame);
    if ('forEach' in step) return planForEach(this, step, base, isClosed, frame);
    if ('choose' in step) return planChoose(this, step, base, isClosed, frame);
    if ('call' in step) return planCall(this, step, base, isClosed, frame);
    if ('approval' in step) return planApproval(this, step, base, isClosed, frame);
    if ('wait' in step) return planWait(this, step, base, frame);
    return planTry(this, step, base, isClosed, frame);
  }

  base(step: Step, { prefix }: Frame): Base {
    const { id, name } = step;
    return { path: `${prefix}${id}`, stepId: id, ...(name === undefined ? {} : { name }) };
  }

  /** What is known at the run level. */
  runLevel({ inputs, item, crowd, laterInputs, laterItems }: Frame): Known {
    const variables: Variables = { inputs, ...(item === null ? {} : { item }) };
    return { variables, silent: crowd.run.silent, factsAfter: [], laterInputs, laterItems };
  }

  #gate(step: Step, frame: Frame): PlannedGate {
    const { stoppedBy } = frame.crowd.run;
    if (stoppedBy !== null) return { outcome: 'not-reached', after: stoppedBy };
    if (step.if === undefined) return { outcome: 'run' };
    const parsed = this.expression(step.if, 'if');
    if ('error' in parsed) return { outcome: 'fail', error: parsed.error };
    const planned = planCondition(parsed.expression, this.runLevel(frame));
    if (planned.truth === 'later') return { outcome: 'unknown', knownAfter: [...planned.knownAfter] };
    if (planned.truth === 'undetermined') {
      const message = `the condition \`${step.if}\` cannot be determined`;
      return { outcome: 'fail', error: { code: 'condition-undetermined', message } };
    }
    return planned.truth ? { outcome: 'run' } : { outcome: 'skip' };
  }

  /** An expression of the run level. */
  expression(source: string, origin: string): Parsed<{ expression: Expression }> {
    try {
      return { expression: parseExpression(source, 'run', { origin }) };
    } catch (error) {
      return { error: errorOf(error) };
    }
  }

  template(value: unknown, origin: string): Parsed<{ template: Template }> {
    try {
      return { template: compileTemplate(value, 'run', origin) };
    } catch (error) {
      return { error: errorOf(error) };
    }
  }

  *#action(step: ActionStep, passesOver: boolean, frame: Frame): Walk<PlannedAction> {
    const action = this.action(step.uses, step.id);
    this.#wants(step, frame);
    const planned = this.#compile(step, action);
    const isControl = action.scope === 'control';
    const { path } = this.base(step, frame);
    const { onPlanned } = this.request;
    const variants = yield* this.#variants(frame, isControl, path, (known, target, standing) => {
      const result = planStep(planned, known, target);
      const { outcome, input } = result;
      onPlanned?.({ path, uses: step.uses, target: isControl ? null : target, outcome, input, timeout: step.timeout });
      note(result, step.id, passesOver, standing, isControl ? frame.crowd : null);
      if (action.changesFacts === true && result.outcome.outcome === 'run') {
        Object.assign(standing, { factsAfter: [...new Set([...standing.factsAfter, step.id])] });
      }
      return result;
    });
    const rollback = yield* this.#rollback(step, action, variants, frame);
    return {
      kind: 'action',
      ...this.base(step, frame),
      uses: step.uses,
      actionVersion: action.version,
      scope: action.scope,
      variants,
      ...(rollback === null ? {} : { rollback }),
    };
  }

  action(uses: string, stepId: string): ActionContract {
    const { actions } = this.request;
    const action = Object.hasOwn(actions, uses) ? actions[uses] : undefined;
    if (action === undefined) {
      throw new FettleError({
        code: 'invalid-document',
        message: `step "${stepId}" uses "${uses}", which is not an action`,
      });
    }
    this.found.actions.set(uses, action.version);
    return action;
  }

  #compile(step: Pick<ActionStep, 'with' | 'if'>, action: ActionContract): PlanStep {
    const known = this.#compiled.get(step);
    const compiled = known ?? compileStep(step, action.scope === 'control' ? 'run' : 'target');
    this.#compiled.set(step, compiled);
    return { action, with: step.with, compiled };
  }

  *#variants(
    frame: Frame,
    isControl: boolean,
    path: string,
    plan: (known: Known, target: { assetId: string; name: string }, standing: Standing) => PlannedStep,
  ): Walk<PlannedVariant[]> {
    const { crowd } = frame;
    const runLevel = this.runLevel(frame);
    const groups = new Map<string, { outcome: PlannedVariant; names: string[] }>();
    const runStop = crowd.run.stoppedBy;
    const add = ({ outcome, credentials }: PlannedStep, name: string | null): void => {
      for (const credential of credentials) this.opens(credential, path);
      const key = canonicalJson(outcome);
      this.budget.rendered(key.length);
      const group = groups.get(key) ?? { outcome: { ...outcome, count: 0, targets: [] }, names: [] };
      if (group.names.length === 0) this.budget.shown(key.length);
      group.names.push(name ?? '');
      groups.set(key, group);
    };
    if (isControl) {
      if (runStop !== null) add(notReached(runStop), null);
      else add(plan(runLevel, { assetId: '', name: '' }, crowd.run), null);
    } else {
      for (const { target, standing } of crowd.targets) {
        const stoppedBy = runStop ?? standing.stoppedBy;
        const { assetId, name, asset, credential } = target;
        const silent = crowd.run.silent.size === 0 ? standing.silent : union(crowd.run.silent, standing.silent);
        const variables = { ...runLevel.variables, asset };
        const known = { ...runLevel, variables, silent, factsAfter: standing.factsAfter };
        const result = stoppedBy === null ? plan(known, { assetId, name }, standing) : notReached(stoppedBy);
        if (stoppedBy === null && typeof credential === 'string') this.opens(credential, 'connections');
        add(result, name);
        if (++this.#rendered % BREATH === 0) yield undefined;
      }
    }
    const found = [...groups.values()].map(({ outcome, names }) => {
      return { ...outcome, count: names.length, targets: isControl ? [] : names };
    });
    return found.sort((a, b) => b.count - a.count);
  }

  *#rollback(
    { id, rollback }: ActionStep,
    action: ActionContract,
    done: readonly PlannedVariant[],
    frame: Frame,
  ): Walk<PlannedRollback | null> {
    if (rollback === undefined) {
      const { compensation } = action;
      if (compensation === null) return null;
      this.action(compensation.uses, id);
      return { kind: 'action', compensation: compensation.summary };
    }
    if ('none' in rollback) return { kind: 'none', reason: rollback.none };
    const undo = this.action(rollback.uses, id);
    const runs = new Set(
      done.filter(({ outcome }) => outcome === 'run' || outcome === 'unknown').flatMap((one) => one.targets),
    );
    const targets = frame.crowd.targets.filter(({ target }) => runs.has(target.name));
    const crowd = forkOn({ run: frame.crowd.run, targets });
    const planned = this.#compile(rollback, undo);
    const variants = yield* this.#variants(
      { ...frame, crowd },
      undo.scope === 'control',
      `${frame.prefix}${id}!rollback`,
      (known, target) => planStep(planned, known, target),
    );
    return { kind: 'step', uses: rollback.uses, variants };
  }

  opens(credential: string, path: string): void {
    const users = this.found.credentials.get(credential) ?? new Set();
    this.found.credentials.set(credential, users.add(path));
  }

  #wants(step: Step, frame: Frame): void {
    this.found.capacity.push(...plannedWants(this, step.capacity, `${frame.prefix}${step.id}`, frame));
  }
}

function union(a: ReadonlySet<string>, b: ReadonlySet<string>): ReadonlySet<string> {
  return b.size === 0 ? a : new Set([...a, ...b]);
}

function notReached(after: string): PlannedStep {
  return { outcome: { outcome: 'not-reached', after }, credentials: [] };
}

/** What follows from an outcome for the steps after it. */
function note(
  { outcome }: PlannedStep,
  stepId: string,
  passesOver: boolean,
  standing: Standing,
  all: Crowd | null,
): void {
  if (outcome.outcome !== 'skip' && outcome.outcome !== 'fail') return;
  standing.silent.add(stepId);
  if (outcome.outcome === 'skip' || passesOver) return;
  if (all === null) standing.stoppedBy = stepId;
  else stop(all, stepId);
}

/** A step of the run itself fails: nothing comes after it. */
function stop(crowd: Crowd, stepId: string): void {
  crowd.run.stoppedBy ??= stepId;
}

/** A failure inside of a step with `onError: continue` stops nothing after it. */
function restoreStops(crowd: Crowd, before: Crowd): void {
  crowd.run.stoppedBy = before.run.stoppedBy;
  for (const [index, { standing }] of crowd.targets.entries()) {
    standing.stoppedBy = before.targets[index]?.standing.stoppedBy ?? null;
  }
}
