import { isActionStep, nestedSteps, type ActionStep, type Step, type TryStep } from '@fettle/contracts';
import type { JsonPath } from '../json.js';
import { checkCapacity } from './validate-capacity.js';
import { FlowChecks } from './validate-flow.js';
import { checkAction, checkDuration } from './validate-action.js';
import { HandlerScopes } from './validate-handlers.js';
import type { KnownStep } from './known-steps.js';
import { report, type RunbookContext } from './runbook-context.js';
import { checkCondition, checkOutputs, checkTemplates, type Reader } from './step-expressions.js';
import { addedSteps, emptyScope, withGuards, withSteps, type StepScope } from './step-scope.js';

/** Checks every step of a runbook where it stands; returns what can be read at the end of the run. */
export function validateSteps(context: RunbookContext): StepScope {
  const walk = new StepWalk(context);
  const end = walk.list(context.spec.steps, emptyScope);
  walk.handlers.walk((steps, scope) => walk.list(steps, scope));
  return end;
}

/** Goes through the steps in their order and keeps account of what each may read. */
class StepWalk {
  readonly handlers: HandlerScopes;
  readonly #context: RunbookContext;
  readonly #flow: FlowChecks;

  constructor(context: RunbookContext) {
    this.#context = context;
    this.#flow = new FlowChecks(context);
    this.handlers = new HandlerScopes(context);
  }

  /** The scope after the last of them. */
  list(steps: readonly Step[], scope: StepScope): StepScope {
    return steps.reduce((before, step) => this.#step(step, before), scope);
  }

  #step(step: Step, before: StepScope): StepScope {
    const known = this.#context.steps.of(step);
    this.#checkPlace(known, before);
    const scope = known.level === 'target' ? { ...before, noTargets: null } : before;
    this.#checkCommon(known, scope);
    const after = isActionStep(step)
      ? this.#action(step, known, scope)
      : this.#inside(step, withGuards(scope, step.if), known);
    this.handlers.named(known, withSteps(scope, addedSteps(scope, after), `"${step.id}" failed`));
    return { ...before, readable: after.readable };
  }

  #checkPlace({ step, path, level }: KnownStep, { noTargets, isInTargetTry }: StepScope): void {
    if (level === 'target' && noTargets !== null) {
      const message = `"${step.id}" runs on targets and cannot stand ${noTargets}: targets that failed have left the run; put a "try" with steps on targets only around what may fail`;
      report(this.#context, 'targets-in-catch', message, path);
    }
    if (!isInTargetTry) return;
    if (step.capacity !== undefined) {
      const message = 'inside of a "try" on targets no step takes capacity by itself; take it at the outermost "try"';
      report(this.#context, 'capacity-in-try', message, [...path, 'capacity']);
    }
    if (step.if !== undefined && !isActionStep(step)) {
      const message = 'inside of a "try" on targets only actions have a condition; put "if" on the steps of this one';
      report(this.#context, 'condition-in-try', message, [...path, 'if']);
    }
  }

  #checkCommon(known: KnownStep, scope: StepScope): void {
    const { step, path } = known;
    // Only an action's condition is decided by each target; that of all else once for the run.
    const level = isActionStep(step) && known.level !== 'run' ? 'target' : 'run';
    checkCondition(step.if, [...path, 'if'], { known, scope, level }, this.#context);
    const runLevel: Reader = { known, scope, level: 'run' };
    checkCapacity(step.capacity, [...path, 'capacity'], runLevel, this.#context);
  }

  #action(step: ActionStep, known: KnownStep, scope: StepScope): StepScope {
    const { path, action } = known;
    const reader: Reader = {
      known,
      scope: withGuards(scope, step.if),
      level: known.level === 'run' ? 'run' : 'target',
    };
    checkAction(step, true, path, this.#context.actions, this.#context);
    if (action?.onlyUndoes === true) {
      const message = `"${step.uses}" undoes another step: name it in the \`rollback\` of that step`;
      report(this.#context, 'only-undoes', message, [...path, 'uses']);
    }
    if (action !== undefined) {
      checkDuration(step.timeout, [...path, 'timeout'], action.maxTimeoutMs, step.uses, this.#context);
    }
    checkOutputs(step.outputs, path, reader, this.#context);
    checkTemplates(step.with, [...path, 'with'], reader, this.#context);
    const after = withSteps(scope, [{ known, maybe: null }]);
    this.#checkRollback(step, { ...reader, scope: withGuards(after, step.if) });
    return after;
  }

  #checkRollback({ rollback, id }: ActionStep, reader: Reader): void {
    if (rollback === undefined || 'none' in rollback || reader.known === null) return;
    const base: JsonPath = [...reader.known.path, 'rollback'];
    const action = checkAction(rollback, true, base, this.#context.actions, this.#context);
    checkTemplates(rollback.with, [...base, 'with'], reader, this.#context);
    if (action === undefined) return;
    checkDuration(rollback.timeout, [...base, 'timeout'], action.maxTimeoutMs, rollback.uses, this.#context);
    const own = reader.known.action;
    if (own === undefined || own.scope === action.scope) return;
    const message = `"${id}" is of ${own.scope} scope and "${rollback.uses}" of ${action.scope} scope: a step is undone where it was done`;
    report(this.#context, 'rollback-scope', message, [...base, 'uses']);
  }

  /** The steps inside of a step, each with what it may read. */
  #inside(step: Exclude<Step, ActionStep>, scope: StepScope, known: KnownStep): StepScope {
    this.#flow.check(step, { known, scope, level: 'run' });
    if ('try' in step) return this.#try(step, known, scope);
    if ('forEach' in step) {
      const items = new Set(scope.items).add(step.forEach.as);
      this.list(step.forEach.steps, { ...scope, items });
      return withSteps(scope, [{ known, maybe: null }]);
    }
    const branches = nestedSteps(step).map((list, index) => {
      const guard = 'choose' in step ? step.choose[index]?.when : undefined;
      return addedSteps(scope, this.list(list.steps, withGuards(scope, guard)));
    });
    const maybe = 'choose' in step ? `another branch of "${step.id}" may have been chosen` : null;
    return withSteps(withSteps(scope, branches.flat(), maybe), [{ known, maybe: null }]);
  }

  #try(step: TryStep, known: KnownStep, scope: StepScope): StepScope {
    const isInTargetTry = scope.isInTargetTry || known.level === 'target';
    const inside = { ...scope, isInTargetTry };
    const runOnly = (where: string): string | null =>
      known.level === 'run' ? `in the "${where}" of "${step.id}", which runs once for the run` : scope.noTargets;
    const failed = `a step of "${step.id}" may have failed before it`;
    const body = addedSteps(scope, this.list(step.try, inside));
    let after = withSteps(inside, body, failed);
    if (step.catch !== undefined) {
      const caught = this.list(step.catch, { ...after, hasError: true, noTargets: runOnly('catch') });
      after = withSteps(after, addedSteps(after, caught), `"${step.id}" goes through its "catch" only after a failure`);
    }
    const last =
      step.finally === undefined
        ? []
        : addedSteps(after, this.list(step.finally, { ...after, noTargets: runOnly('finally') }));
    // Without a `catch` the way goes on only where all of the body has been carried out.
    const kept = step.catch === undefined ? withSteps(scope, body) : withSteps(scope, addedSteps(scope, after));
    return withSteps(withSteps(kept, last), [{ known, maybe: null }]);
  }
}
