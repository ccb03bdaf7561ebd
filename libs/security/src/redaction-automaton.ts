/**
 * Aho-Corasick (Communications of the ACM 18(6), 1975) as one table: each byte costs one look-up, whatever the patterns and the
 * text, so that no output can make masking slow.
 *
 * Bytes that occur in no pattern share column 0, which keeps the table small: `states * columns` numbers.
 */
export class PatternAutomaton {
  /** Column of each byte. */
  readonly columnOf: Uint16Array;
  readonly columns: number;
  /** State after a byte: `next[state * columns + column]`. State 0 is the start. */
  readonly next: Int32Array;
  /** How many last bytes of the text are the beginning of some pattern. */
  readonly depth: Int32Array;
  /** Length of the longest pattern that ends in this state; 0 where none does. */
  readonly matchLength: Int32Array;

  constructor(patterns: readonly Buffer[]) {
    const maxStates = patterns.reduce((sum, pattern) => sum + pattern.length, 1);
    this.columnOf = new Uint16Array(256);
    let columns = 1;
    for (const pattern of patterns) {
      for (const byte of pattern) {
        if (this.columnOf[byte] === 0) this.columnOf[byte] = columns++;
      }
    }
    this.columns = columns;
    const next = new Int32Array(maxStates * columns);
    const depth = new Int32Array(maxStates);
    const matchLength = new Int32Array(maxStates);
    let states = 1;
    for (const pattern of patterns) {
      let state = 0;
      for (const byte of pattern) {
        const at = state * columns + at0(this.columnOf, byte);
        if (at0(next, at) === 0) {
          depth[states] = at0(depth, state) + 1;
          next[at] = states++;
        }
        state = at0(next, at);
      }
      matchLength[state] = pattern.length;
    }
    // Patterns share beginnings, so fewer states than bytes are used; copies let the rest be freed.
    this.next = next.slice(0, states * columns);
    this.depth = depth.slice(0, states);
    this.matchLength = matchLength.slice(0, states);
    this.#completeTransitions(states);
  }

  /** Breadth first, so that the state to fall back to is always complete before it is copied from. */
  #completeTransitions(states: number): void {
    const { next, columns, matchLength } = this;
    const fallback = new Int32Array(states);
    const queue = new Int32Array(states);
    let queued = 0;
    for (let column = 0; column < columns; column += 1) {
      const child = at0(next, column);
      if (child !== 0) queue[queued++] = child;
    }
    for (let taken = 0; taken < queued; taken += 1) {
      const state = at0(queue, taken);
      const back = at0(fallback, state);
      // Its own pattern is longer than any that ends by falling back.
      if (matchLength[state] === 0) matchLength[state] = at0(matchLength, back);
      for (let column = 0; column < columns; column += 1) {
        const at = state * columns + column;
        const child = at0(next, at);
        const viaBack = at0(next, back * columns + column);
        if (child === 0) {
          next[at] = viaBack;
        } else {
          fallback[child] = viaBack;
          queue[queued++] = child;
        }
      }
    }
  }
}

/** Reads a number that is there by construction; typed arrays are zero elsewhere. */
function at0(numbers: Int32Array | Uint16Array, index: number): number {
  return numbers[index] ?? 0;
}
