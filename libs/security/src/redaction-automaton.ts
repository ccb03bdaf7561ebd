/**
 * Aho-Corasick (Communications of the ACM 18(6), 1975) as one table: each byte costs one look-up, whatever the patterns and the
 * text, so that no output can make masking slow.
 *
 * Bytes that occur in no pattern share column 0, which keeps the table small: `states * columns` numbers of 4 bytes. A state is
 * named by where its row starts, so that following it takes no multiplication; negative (`~row`) where a pattern ends.
 */
export class PatternAutomaton {
  /** Column of each byte. */
  readonly columnOf: Uint8Array;
  /** Row after a byte: `next[row + columnOf[byte]]`, `~row` where a pattern ends there. Row 0 is the start. */
  readonly next: Int32Array;
  readonly #columns: number;
  readonly #depth: Int32Array;
  readonly #matchLength: Int32Array;

  constructor(patterns: readonly Buffer[]) {
    const maxStates = patterns.reduce((sum, pattern) => sum + pattern.length, 1);
    const used = new Set<number>();
    for (const pattern of patterns) for (const byte of pattern) used.add(byte);
    this.columnOf = new Uint8Array(256);
    // With all 256 bytes in use there is no other byte to share column 0 with, and 256 columns still fit a byte.
    let columns = used.size === 256 ? 0 : 1;
    for (const byte of used) this.columnOf[byte] = columns++;
    this.#columns = columns;
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
    this.#depth = depth.slice(0, states);
    this.#matchLength = matchLength.slice(0, states);
    this.#completeTransitions(states);
    // A plain loop: an iterator would take ten times as long over millions of entries.
    for (let at = 0; at < this.next.length; at += 1) {
      const state = at0(this.next, at);
      this.next[at] = at0(this.#matchLength, state) > 0 ? ~(state * columns) : state * columns;
    }
  }

  /** How many last bytes of the text are the beginning of some pattern. */
  depth(row: number): number {
    return at0(this.#depth, row / this.#columns);
  }

  /** Length of the longest pattern that ends here; 0 where none does. */
  matchLength(row: number): number {
    return at0(this.#matchLength, row / this.#columns);
  }

  /** Breadth first, so that the state to fall back to is always complete before it is copied from. */
  #completeTransitions(states: number): void {
    const next = this.next;
    const columns = this.#columns;
    const matchLength = this.#matchLength;
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
function at0(numbers: Int32Array | Uint8Array, index: number): number {
  return numbers[index] ?? 0;
}
