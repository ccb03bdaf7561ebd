import { FettleError, isActionStep, nestedSteps, type ActionStep, type Step, type TryStep } from '@fettle/contracts';
import type { ActionScopes } from './program-nodes.js';

/**
 * Where a target goes on after a failure. Failures that are put off until after a `finally` are a set of bits, one for each `finally`
 * around the place: one may fail inside of another.
 */
export interface Jump {
  readonly index: number;
  /** Number of `finally` around the place that is jumped to, whose failures stay put off. */
  readonly depth: number;
  /** Into `finally`: the failure is only put off. Into `catch`, or past the step: it is handled. */
  readonly isPutOff: boolean;
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
  /** The `finally` around it, the inner one first. */
  readonly finallys: readonly Finally[];
  /** Index of the first step of the outermost `try` with a `finally` around it; null: there is none. */
  readonly tryFrom: number | null;
  /** It is one of that `finally`'s own. */
  readonly isLast: boolean;
  /** Where a target goes on that is stopped here; null: in a `finally`, which it goes through, or where there is none. */
  readonly onStop: StopJump | null;
}

/** The way of a target that is stopped, because its run or branch is cancelled, in the middle of a `try`. */
export interface StopJump {
  /** Index of the first step of its `finally`. */
  readonly index: number;
  /** Index of the first step of the `try`: whoever has not begun with it has nothing to put in order. */
  readonly from: number;
  /** Indexes of the steps of the `finally`, but for those of a `catch` in it. */
  readonly steps: readonly number[];
  /** Of the `try` around it; null: there is none with a `finally`. */
  readonly outer: StopJump | null;
}

/** A `finally` and what comes behind it for a target whose failure it has put off. */
export interface Finally {
  /** Number of `finally` around this one. */
  readonly depth: number;
  /** Index behind its last step. */
  readonly end: number;
  /** Null: the target ends. */
  readonly to: Jump | null;
  /** Its own, the outer one as its `outer`; null: it stands in another `finally`. */
  readonly stop: StopJump | null;
}

type DraftJump = Omit<Jump, 'index'> & { index: number };
type DraftStop = Omit<StopJump, 'index' | 'steps'> & { index: number; readonly steps: number[] };
type DraftFinally = Omit<Finally, 'end' | 'to'> & { end: number; readonly to: DraftJump | null };
interface Draft {
  readonly index: number;
  readonly path: string;
  readonly step: ActionStep;
  next: number;
  onFailure: DraftJump | null;
  readonly finallys: readonly DraftFinally[];
  readonly tryFrom: number | null;
  readonly isLast: boolean;
  readonly onStop: StopJump | null;
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
    const nowhere = { onFailure: null, finallys: [], tryFrom: null, isLast: false, onStop: null, cleansUp: null };
    this.#list(steps, { scope, ...nowhere });
    return this.#codes.slice(from);
  }

  #handlerOf({ onError }: Step): readonly Step[] | null {
    if (onError === 'fail' || onError === 'continue') return null;
    return this.#handlers[onError] ?? null;
  }

  #list(steps: readonly Step[], place: Place): void {
    for (const step of steps) this.#step(step, place);
  }

  #step(step: Step, place: Place): void {
    if (this.#codes.length > MAX_TARGET_CODES) throw tooMany();
    const { scope, onFailure, finallys, tryFrom, isLast, onStop, cleansUp } = place;
    const handler = this.#handlerOf(step);
    if (handler !== null) {
      const body = { try: [{ ...step, onError: 'fail' }], catch: [...handler] };
      this.#try(body, place, `${scope}${step.id}!${step.onError}/`);
    } else if (isActionStep(step)) {
      const index = this.#codes.length;
      const path = `${scope}${step.id}`;
      this.#codes.push({ index, path, step, next: index + 1, onFailure, finallys, tryFrom, isLast, onStop });
      cleansUp?.push(index);
    } else if ('try' in step && step.onError === 'continue') {
      const past: DraftJump = { index: -1, depth: finallys.length, isPutOff: false };
      this.#try(step, { ...place, onFailure: past }, scope);
      past.index = this.#codes.length;
    } else if ('try' in step) this.#try(step, place, scope);
  }

  #try(step: Pick<TryStep, 'try' | 'catch' | 'finally'>, place: Place, catchScope: string): void {
    const { onFailure: outer, finallys } = place;
    const depth = finallys.length;
    const bodyFrom = this.#codes.length;
    const toCatch: DraftJump | null = step.catch === undefined ? null : { index: -1, depth, isPutOff: false };
    const toFinally: DraftJump | null = step.finally === undefined ? null : { index: -1, depth, isPutOff: true };
    const tryFrom = place.tryFrom ?? (toFinally === null ? null : bodyFrom);
    // What stands in a `finally` is gone through whatever happens, a `try` in it included.
    const stop: DraftStop | null =
      toFinally === null || depth > 0 ? null : { index: -1, from: bodyFrom, steps: [], outer: place.onStop };
    const onStop = stop ?? place.onStop;
    this.#list(step.try, { ...place, tryFrom, onStop, onFailure: toCatch ?? toFinally ?? outer });
    const bodyTo = this.#codes.length;
    if (toCatch !== null) {
      toCatch.index = bodyTo;
      const inside = { ...place, tryFrom, onStop, scope: catchScope, cleansUp: null };
      this.#list(step.catch ?? [], { ...inside, onFailure: toFinally ?? outer });
      this.#leadPast(bodyFrom, bodyTo, toCatch);
    }
    if (toFinally === null) return;
    toFinally.index = this.#codes.length;
    if (stop !== null) stop.index = toFinally.index;
    const region: DraftFinally = { depth, end: -1, to: outer, stop };
    const isLast = place.isLast || place.tryFrom === null;
    const cleansUp = stop?.steps ?? place.cleansUp;
    const inside = { ...place, tryFrom, isLast, onStop: null, cleansUp };
    this.#list(step.finally ?? [], { ...inside, finallys: [region, ...finallys] });
    region.end = this.#codes.length;
  }

  /** Who came through the body well, or past a failure in it, does not go through the catch. */
  #leadPast(from: number, to: number, toCatch: DraftJump): void {
    const behind = this.#codes.length;
    for (const code of this.#codes.slice(from, to)) {
      if (code.next === to) code.next = behind;
      for (const jump of [code.onFailure, ...code.finallys.map((one) => one.to)]) {
        if (jump !== null && jump !== toCatch && jump.index === to) jump.index = behind;
      }
    }
  }
}

interface Place {
  readonly scope: string;
  readonly onFailure: DraftJump | null;
  readonly finallys: readonly DraftFinally[];
  readonly tryFrom: number | null;
  readonly isLast: boolean;
  readonly onStop: DraftStop | null;
  /** Takes the indexes of the steps of the `finally` that it stands in; null: it stands in none, or in a `catch` in it. */
  readonly cleansUp: number[] | null;
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
