import { FettleError } from '@fettle/contracts';
import type { Place } from './problem.js';
import { describePlace, positionOf } from './problem.js';

/** Units of work one evaluation may use: about one a node, an element or 100 characters. A few milliseconds to a few hundred. */
export const MAX_EVALUATION_STEPS = 200_000;

/** Counts the work of one evaluation, so that nested macros over long lists end in an error and not in a hang. */
export class Meter {
  #left: number;

  constructor(steps: number = MAX_EVALUATION_STEPS) {
    this.#left = steps;
  }

  /** Throws FettleError `limit-exceeded` once the work is used up. */
  charge(units: number, place: Place): void {
    this.#left -= units;
    if (this.#left >= 0) return;
    throw new FettleError({
      code: 'limit-exceeded',
      message: `the expression does too much work (at ${describePlace(place)})`,
      remedy: 'Narrow the lists that all(), exists(), filter() or map() go over, or do the work in a step.',
      position: positionOf(place),
    });
  }

  chargeText(chars: number, place: Place): void {
    this.charge(1 + Math.floor(chars / 100), place);
  }
}

/** The third truth value and the result of anything computed from it: a value is missing or of the wrong type. */
export class Unknown {
  constructor(
    readonly reason: string,
    readonly place: Place,
  ) {}
}
