import { FettleError } from '@fettle/contracts';

/** A rehearsal that does more than this has a loop without end. */
const MAX_MOMENTS = 200_000;

interface Moment {
  readonly atMs: number;
  readonly order: number;
  readonly action: () => void;
}

/** Time that passes only from one thing to do to the next. */
export class SimulatedClock {
  nowMs: number;
  readonly #heap: Moment[] = [];
  #order = 0;
  #moments = 0;

  constructor(startMs: number) {
    this.nowMs = startMs;
  }

  /** Does something after a while; what is due at the same moment is done in the order in which it was asked for. */
  after(delayMs: number, action: () => void): () => void {
    let isWanted = true;
    const moment = {
      atMs: this.nowMs + Math.max(0, delayMs),
      order: (this.#order += 1),
      action: () => isWanted && action(),
    };
    this.#push(moment);
    return () => {
      isWanted = false;
    };
  }

  /** Until `isOver`, or nothing is left to do. Throws FettleError `limit-exceeded`. */
  run(isOver: () => boolean): void {
    while (!isOver()) {
      const moment = this.#pop();
      if (moment === undefined) return;
      if ((this.#moments += 1) > MAX_MOMENTS) {
        const message = `the rehearsal does not come to an end: more than ${MAX_MOMENTS} things happened`;
        throw new FettleError({
          code: 'limit-exceeded',
          message,
          remedy: 'Bound what repeats: retries, polls, items.',
        });
      }
      this.nowMs = Math.max(this.nowMs, moment.atMs);
      moment.action();
    }
  }

  #push(moment: Moment): void {
    const heap = this.#heap;
    let at = heap.push(moment) - 1;
    while (at > 0) {
      const up = (at - 1) >> 1;
      if (!isBefore(heap[at]!, heap[up]!)) return;
      [heap[at], heap[up]] = [heap[up]!, heap[at]!];
      at = up;
    }
  }

  #pop(): Moment | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    heap[0] = last;
    for (let at = 0; ;) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < heap.length && isBefore(heap[child]!, heap[least]!)) least = child;
      }
      if (least === at) return first;
      [heap[at], heap[least]] = [heap[least]!, heap[at]!];
      at = least;
    }
  }
}

function isBefore(a: Moment, b: Moment): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
