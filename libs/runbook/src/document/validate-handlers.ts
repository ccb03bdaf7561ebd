import { nestedSteps, walkSteps, type Step } from '@fettle/contracts';
import type { JsonPath } from '../json.js';
import { closestName } from './closest-name.js';
import type { FindingOptions } from './findings.js';
import type { KnownStep } from './known-steps.js';
import { report, type RunbookContext } from './runbook-context.js';
import { commonScope, emptyScope, withSteps, type StepScope } from './step-scope.js';

/** Steps of a runbook, those of handlers counted wherever they are named. */
export const MAX_EXPANDED_STEPS = 1000;

const outcomes = ['fail', 'continue'];

/** Who names which handler, and what the handler may read because of that. */
export class HandlerScopes {
  readonly #context: RunbookContext;
  readonly #scopes = new Map<string, StepScope[]>();

  constructor(context: RunbookContext) {
    this.#context = context;
  }

  /** Notes the handler that a step names, if it does; `scope` is what can be read once the step has failed. */
  named(known: KnownStep, scope: StepScope): void {
    const { onError } = known.step;
    if (outcomes.includes(onError)) return;
    const handler = this.#handler(onError);
    const path = [...known.path, 'onError'];
    if (handler === undefined) {
      const names = Object.keys(this.#context.spec.handlers ?? {});
      report(this.#context, ...unknownHandler(onError, names, path));
      return;
    }
    this.#checkLevels(known, onError, handler);
    const noTargets =
      known.level === 'run'
        ? `in the handler "${onError}", which "${known.step.id}" names, a step that runs once for the run`
        : scope.noTargets;
    const inside = { ...scope, hasError: true, noTargets, isInTargetTry: known.level === 'target' };
    this.#scopes.set(onError, [...(this.#scopes.get(onError) ?? []), inside]);
  }

  /** Goes through the handlers, those that name others first. */
  walk(list: (steps: readonly Step[], scope: StepScope) => unknown): void {
    for (const name of this.#ordered()) {
      const steps = this.#handler(name) ?? [];
      const scopes = this.#scopes.get(name);
      // Of one that nobody names nothing is known that it could not read.
      const scope = scopes === undefined ? this.#unnamed() : commonScope(scopes);
      list(steps, scope);
    }
  }

  #unnamed(): StepScope {
    const outside = this.#context.steps.all.filter(({ path }) => path[1] === 'steps');
    const scope = withSteps(
      emptyScope,
      outside.map((known) => ({ known, maybe: null })),
    );
    return { ...scope, hasError: true };
  }

  #handler(name: string): readonly Step[] | undefined {
    const { handlers = {} } = this.#context.spec;
    return Object.hasOwn(handlers, name) ? handlers[name] : undefined;
  }

  #checkLevels(known: KnownStep, name: string, handler: readonly Step[]): void {
    const { steps } = this.#context;
    const { id } = known.step;
    if (known.level === 'target') {
      const other = handler.find((step) => steps.of(step).level === 'run');
      if (other === undefined) return;
      const message = `"${id}" runs on targets, and the handler "${name}" has a step that runs once for the run ("${other.id}"): each target that fails goes through the handler by itself, so all of its steps must run on targets`;
      report(this.#context, 'handler-level', message, [...known.path, 'onError']);
    } else if (known.level === 'run') {
      const other = [...walkSteps(handler)].find((step) => steps.of(step).level === 'target');
      if (other === undefined) return;
      const message = `"${id}" runs once for the run, and the handler "${name}" has a step on targets ("${other.id}"): targets that failed have left the run; put a "try" with steps on targets only inside of "${id}"`;
      report(this.#context, 'handler-level', message, [...known.path, 'onError']);
    }
  }

  /** Handlers in an order in which each comes after those that name it; what stands in a cycle comes last. */
  #ordered(): readonly string[] {
    const names = Object.keys(this.#context.spec.handlers ?? {});
    const namers = new Map(names.map((name) => [name, 0]));
    const edges = new Map(names.map((name) => [name, namedBy(this.#handler(name) ?? [])]));
    for (const targets of edges.values()) {
      for (const target of targets) namers.set(target, (namers.get(target) ?? 0) + 1);
    }
    const ordered = names.filter((name) => namers.get(name) === 0);
    for (let at = 0; at < ordered.length; at += 1) {
      for (const target of edges.get(ordered[at] ?? '') ?? []) {
        const left = (namers.get(target) ?? 0) - 1;
        namers.set(target, left);
        if (left === 0 && edges.has(target)) ordered.push(target);
      }
    }
    return [...ordered, ...names.filter((name) => !ordered.includes(name))];
  }
}

/** What is reported of an `onError` that names no handler. */
export function unknownHandler(
  name: string,
  handlers: readonly string[],
  path: JsonPath,
): [code: string, message: string, path: JsonPath, options: FindingOptions] {
  const message = `"onError" is "fail", "continue" or a handler of the runbook, and there is no handler "${name}"`;
  return ['unknown-handler', message, path, { suggestion: closestName(name, [...outcomes, ...handlers]) }];
}

/** The handlers that steps name, each once. */
function namedBy(steps: readonly Step[]): ReadonlySet<string> {
  const names = [...walkSteps(steps)].map(({ onError }) => onError);
  return new Set(names.filter((name) => !outcomes.includes(name)));
}

/** What is wrong with the handlers as such: their names, circles, and what they come to altogether. */
export function checkHandlers(context: RunbookContext): void {
  const { handlers = {}, steps } = context.spec;
  const used = new Set(Object.values({ ...handlers, '': steps }).flatMap((list) => [...namedBy(list)]));
  for (const name of Object.keys(handlers)) {
    const path = ['spec', 'handlers', name];
    const at = context.places.keyAt(path);
    if (outcomes.includes(name)) {
      report(
        context,
        'handler-name',
        `"${name}" is what "onError" means without a handler; choose another name`,
        path,
        at,
      );
    } else if (!used.has(name)) {
      const message = `no step names the handler "${name}" in "onError"`;
      report(context, 'handler-unused', message, path, { ...at, severity: 'warning' });
    }
  }
  const circle = findCircle(handlers);
  if (circle !== null) {
    const [first = ''] = circle;
    const path = ['spec', 'handlers', first];
    const message = `the handler comes back to itself: ${[...circle, first].join(' -> ')}`;
    report(context, 'handler-cycle', message, path, context.places.keyAt(path));
    return;
  }
  checkExpandedSize(context);
}

function findCircle(handlers: Readonly<Record<string, readonly Step[]>>): readonly string[] | null {
  const done = new Set<string>();
  const visit = (name: string, via: readonly string[]): readonly string[] | null => {
    if (via.includes(name)) return via.slice(via.indexOf(name));
    if (done.has(name) || !Object.hasOwn(handlers, name)) return null;
    for (const next of namedBy(handlers[name] ?? [])) {
      const found = visit(next, [...via, name]);
      if (found !== null) return found;
    }
    done.add(name);
    return null;
  };
  for (const name of Object.keys(handlers)) {
    const found = visit(name, []);
    if (found !== null) return found;
  }
  return null;
}

/** Handlers are copied to whoever names them; some that name each other can come to far more than was written. */
function checkExpandedSize(context: RunbookContext): void {
  const { handlers = {}, steps } = context.spec;
  const sizes = new Map<string, number>();
  const sizeOf = (list: readonly Step[]): number =>
    list.reduce((sum, step) => {
      const inside = nestedSteps(step).reduce((inner, nested) => inner + sizeOf(nested.steps), 0);
      return Math.min(sum + 1 + inside + handlerSize(step.onError), MAX_EXPANDED_STEPS + 1);
    }, 0);
  const handlerSize = (name: string): number => {
    // What else a failure may lead to is no handler, whatever handlers are called.
    if (outcomes.includes(name) || !Object.hasOwn(handlers, name)) return 0;
    const known = sizes.get(name);
    if (known !== undefined) return known;
    const size = sizeOf(handlers[name] ?? []);
    sizes.set(name, size);
    return size;
  };
  if (sizeOf(steps) <= MAX_EXPANDED_STEPS) return;
  const message = `the steps come to more than ${MAX_EXPANDED_STEPS}, those of handlers counted wherever they are named; split the runbook into several that call each other`;
  report(context, 'too-many-steps', message, ['spec', 'handlers'], context.places.keyAt(['spec', 'handlers']));
}
