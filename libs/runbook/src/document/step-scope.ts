import type { KnownStep } from './known-steps.js';

/** A step whose outputs can be read. */
export interface ReadableStep {
  readonly known: KnownStep;
  /** Why it may not have been carried out, although the way led here; null: it was come to for certain. */
  readonly maybe: string | null;
}

/** What the expressions of a step may read, by where it stands. Immutable. */
export interface StepScope {
  readonly readable: ReadonlyMap<string, ReadableStep>;
  /** Names of `item` in the iterations around. */
  readonly items: ReadonlySet<string>;
  /** Inside of a `catch` or a handler. */
  readonly hasError: boolean;
  /** Conditions around: what they ask with `has()` need not be asked again. */
  readonly guards: readonly string[];
  /** Each target goes through it by itself. */
  readonly isInTargetTry: boolean;
  /** Why no step on targets may stand here; null: it may. */
  readonly noTargets: string | null;
}

export const emptyScope: StepScope = Object.freeze({
  readable: new Map<string, ReadableStep>(),
  items: new Set<string>(),
  hasError: false,
  guards: [],
  isInTargetTry: false,
  noTargets: null,
});

/** The scope with more steps to read; `maybe` says why they may be missing. */
export function withSteps(scope: StepScope, more: Iterable<ReadableStep>, maybe: string | null = null): StepScope {
  const readable = new Map(scope.readable);
  for (const step of more) readable.set(step.known.step.id, { known: step.known, maybe: step.maybe ?? maybe });
  return { ...scope, readable };
}

/** What can be read after a list of steps and could not before it. */
export function addedSteps(before: StepScope, after: StepScope): ReadableStep[] {
  return [...after.readable].flatMap(([id, step]) => (before.readable.has(id) ? [] : [step]));
}

export function withGuards(scope: StepScope, ...conditions: readonly (string | undefined)[]): StepScope {
  const more = conditions.filter((condition) => condition !== undefined);
  return more.length === 0 ? scope : { ...scope, guards: [...scope.guards, ...more] };
}

/** Of something that is come to from several places: what holds at all of them. */
export function commonScope(scopes: readonly StepScope[]): StepScope {
  const [first, ...others] = scopes;
  if (first === undefined) return emptyScope;
  const readable = new Map<string, ReadableStep>();
  for (const [id, step] of first.readable) {
    const maybes = others.map((other) => other.readable.get(id));
    if (maybes.includes(undefined)) continue;
    const maybe = [step, ...maybes].map((one) => one?.maybe ?? null).find((why) => why !== null) ?? null;
    readable.set(id, { known: step.known, maybe });
  }
  return {
    readable,
    items: new Set([...first.items].filter((name) => others.every((other) => other.items.has(name)))),
    hasError: scopes.every((scope) => scope.hasError),
    guards: first.guards.filter((guard) => others.every((other) => other.guards.includes(guard))),
    isInTargetTry: scopes.some((scope) => scope.isInTargetTry),
    noTargets: scopes.find((scope) => scope.noTargets !== null)?.noTargets ?? null,
  };
}
