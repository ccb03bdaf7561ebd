import { FettleError, isActionStep, nestedSteps, type ActionStep, type Step, type TryStep } from '@fettle/contracts';
import type { ActionScopes } from './program-nodes.js';

/** Where a target goes on after a failure. */
export interface Jump {
  readonly index: number;
  /** Into `finally`: the failure is only put off. Into `catch`: it is handled. */
  readonly isFailing: boolean;
}

/**
 * One step of target scope in the order in which targets pass through them. All jumps lead forward, so that a target that is further
 * has a higher index.
 */
export interface TargetCode {
  readonly index: number;
  /** What the journal calls it, but for the iterations around it: the id, after the handlers that it stands in. */
  readonly path: string;
  readonly step: ActionStep;
  /** Index of the next one; beyond the segment's last: the target has left it. */
  readonly next: number;
  /** Where a failed target goes; null: it ends. */
  readonly onFailure: Jump | null;
  /** Set at the end of `finally`: where a target goes whose failure was put off; null: it ends. */
  readonly raise?: { readonly to: Jump | null } | undefined;
}

interface DraftJump {
  index: number;
  isFailing: boolean;
}
interface Draft {
  readonly index: number;
  readonly path: string;
  readonly step: ActionStep;
  next: number;
  onFailure: DraftJump | null;
  raise?: { to: DraftJump | null } | undefined;
}

type Handlers = Readonly<Record<string, readonly Step[]>>;

/** Lays target steps out one after the other; the compiler of the run level calls it in the order of the text. */
export class TargetCodes {
  readonly #actions: ActionScopes;
  readonly #handlers: Handlers;
  readonly #codes: Draft[] = [];

  constructor(actions: ActionScopes, handlers: Handlers) {
    this.#actions = actions;
    this.#handlers = handlers;
  }

  get codes(): readonly TargetCode[] {
    return this.#codes;
  }

  /** Whether a step is one of target scope, or a `try` that holds nothing else: each target goes through it by itself. */
  isTargetLevel(step: Step, depth = 0): boolean {
    // Handlers may name each other; one that comes back to itself is refused elsewhere.
    if (depth > 16) return false;
    const handler = this.#handlerOf(step);
    if (handler !== null && !handler.every((one) => this.isTargetLevel(one, depth + 1))) return false;
    if (isActionStep(step)) {
      return Object.hasOwn(this.#actions, step.uses) && this.#actions[step.uses]?.scope === 'target';
    }
    if (!('try' in step)) return false;
    return nestedSteps(step).every((list) => list.steps.every((one) => this.isTargetLevel(one, depth + 1)));
  }

  /** Whether it goes into a segment together with its neighbours. */
  joins(step: Step): boolean {
    if (step.capacity !== undefined || !this.isTargetLevel(step)) return false;
    return isActionStep(step) || step.if === undefined;
  }

  /** Appends the codes of target-level steps; returns those that are new. */
  append(steps: readonly Step[], scope: string): readonly TargetCode[] {
    const from = this.#codes.length;
    this.#list(steps, scope, null);
    return this.#codes.slice(from);
  }

  #handlerOf({ onError }: Step): readonly Step[] | null {
    if (onError === 'fail' || onError === 'continue') return null;
    return this.#handlers[onError] ?? null;
  }

  #list(steps: readonly Step[], scope: string, onFailure: DraftJump | null): void {
    for (const step of steps) this.#step(step, scope, onFailure);
  }

  #step(step: Step, scope: string, onFailure: DraftJump | null): void {
    if (this.#codes.length > MAX_TARGET_CODES) throw tooMany();
    const handler = this.#handlerOf(step);
    if (handler !== null) {
      const body = { ...step, onError: 'fail' };
      this.#try(
        { try: [body], catch: [...handler] },
        { own: scope, catch: `${scope}${step.id}!${step.onError}/` },
        onFailure,
      );
    } else if (isActionStep(step)) {
      const index = this.#codes.length;
      this.#codes.push({ index, path: `${scope}${step.id}`, step, next: index + 1, onFailure });
    } else if ('try' in step) {
      // Patched below: behind the whole of it.
      const after: DraftJump | null = step.onError === 'continue' ? { index: -1, isFailing: false } : onFailure;
      this.#try(step, { own: scope, catch: scope }, after);
      if (step.onError === 'continue' && after !== null) after.index = this.#codes.length;
    }
  }

  #try(
    step: Pick<TryStep, 'try' | 'catch' | 'finally'>,
    scope: { readonly own: string; readonly catch: string },
    outer: DraftJump | null,
  ): void {
    const bodyFrom = this.#codes.length;
    const toCatch: DraftJump | null = step.catch === undefined ? null : { index: -1, isFailing: false };
    const toFinally: DraftJump | null = step.finally === undefined ? null : { index: -1, isFailing: true };
    this.#list(step.try, scope.own, toCatch ?? toFinally ?? outer);
    const bodyTo = this.#codes.length;
    if (toCatch !== null) {
      toCatch.index = bodyTo;
      this.#list(step.catch ?? [], scope.catch, toFinally ?? outer);
      // Who came through the body well does not go through the catch.
      for (const code of this.#codes.slice(bodyFrom, bodyTo)) if (code.next === bodyTo) code.next = this.#codes.length;
      for (const code of this.#codes.slice(bodyFrom, bodyTo)) this.#redirect(code, bodyTo, toCatch);
    }
    if (toFinally === null) return;
    const finallyFrom = this.#codes.length;
    toFinally.index = finallyFrom;
    this.#list(step.finally ?? [], scope.own, outer);
    const after = this.#codes.length;
    for (const code of this.#codes.slice(finallyFrom)) if (code.next === after) code.raise ??= { to: outer };
  }

  /** A jump of an inner `onError: continue` that leads behind the body leads behind the catch, too. */
  #redirect(code: Draft, bodyTo: number, toCatch: DraftJump): void {
    const jumps = [code.onFailure, code.raise?.to ?? null];
    for (const jump of jumps) {
      if (jump !== null && jump !== toCatch && jump.index === bodyTo && !jump.isFailing)
        jump.index = this.#codes.length;
    }
  }
}

/** All target steps of a runbook together with their handlers. */
const MAX_TARGET_CODES = 1000;

function tooMany(): FettleError {
  return new FettleError({
    code: 'invalid-document',
    message: `the runbook has more than ${MAX_TARGET_CODES} steps on targets, those of handlers counted wherever they are named`,
    remedy: 'Split it into runbooks that call each other.',
  });
}

/** Where a target goes after a step that has come to its end, and whether a failure of it is put off until after `finally`. */
export type TargetNext =
  | { readonly kind: 'go'; readonly index: number; readonly isFailing: boolean }
  | { readonly kind: 'end'; readonly state: 'failed' };

/** After success, a skip, or a failure that `onError: continue` passes over. */
export function nextAfterSuccess(code: TargetCode, isFailing: boolean): TargetNext {
  if (!isFailing || code.raise === undefined) return { kind: 'go', index: code.next, isFailing };
  return nextOf(code.raise.to);
}

/** After the last attempt has failed for certain. */
export function nextAfterFailure(code: TargetCode, isFailing: boolean): TargetNext {
  if (code.step.onError === 'continue') return nextAfterSuccess(code, isFailing);
  return nextOf(code.onFailure);
}

function nextOf(jump: Jump | null): TargetNext {
  return jump === null ? { kind: 'end', state: 'failed' } : { kind: 'go', ...jump };
}
