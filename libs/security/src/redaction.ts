import { PatternAutomaton } from './redaction-automaton.js';
import { collectPatterns, type DeclaredSecret, type UnprotectedSecret } from './redaction-patterns.js';

const mask = Buffer.from('***');

/** The declared secrets of a run, made ready once; each stream of output then gets a `Redactor` of its own. */
export class RedactionSet {
  /** Secrets that are not masked, with the reason; tell the person who declared them. */
  readonly unprotected: readonly UnprotectedSecret[];
  readonly #automaton: PatternAutomaton | null;

  /** Takes secrets of `minSecretBytes` to `maxSecretBytes`, all of them together within `maxPatternBytes` of patterns. */
  constructor(secrets: readonly DeclaredSecret[]) {
    const { patterns, unprotected } = collectPatterns(secrets);
    this.unprotected = unprotected;
    this.#automaton = patterns.length === 0 ? null : new PatternAutomaton(patterns);
  }

  /** There is nothing to look for: what is given comes back as it is. */
  get isEmpty(): boolean {
    return this.#automaton === null;
  }

  redactor(): Redactor {
    return new Redactor(this.#automaton);
  }

  /** Masks a whole text, such as an error message. */
  redactText(text: string): string {
    const redactor = this.redactor();
    return Buffer.concat([redactor.write(Buffer.from(text, 'utf8')), redactor.flush()]).toString('utf8');
  }

  /** Masks every string in a JSON value. Names of members are its shape, which others rely on, and stay. */
  redactJson(value: unknown): unknown {
    if (this.isEmpty) return value;
    if (typeof value === 'string') return this.redactText(value);
    if (Array.isArray(value)) return value.map((item) => this.redactJson(item));
    if (typeof value !== 'object' || value === null) return value;
    // From entries, so that a member named __proto__ stays a member.
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, this.redactJson(member)]));
  }
}

/**
 * Replaces each secret in a stream of bytes by `***`, also where it is split over chunks, in base64, hexadecimal,
 * percent-encoded or escaped for JSON. Overlapping and touching finds become one mask. How the stream is cut into chunks makes
 * no difference to what comes out.
 *
 * Time is linear in the stream. Held back are only the last bytes that could be the beginning of a secret, so a prompt appears
 * at once. What is not found: other encodings, other upper or lower case, a secret cut in pieces by the program that prints it.
 */
export class Redactor {
  readonly #automaton: PatternAutomaton | null;
  #row = 0;
  /** Bytes already scanned and not yet given out. */
  #held: Buffer = Buffer.alloc(0);
  /** Finds that reach into or lie in `#held`, relative to its start; apart from each other, in order. */
  #finds: { start: number; end: number }[] = [];
  /** A mask has been given out whose find reaches (exclusive) to here, relative to the start of `#held`; -1 for none. */
  #maskedTo = -1;

  constructor(automaton: PatternAutomaton | null) {
    this.#automaton = automaton;
  }

  /** Takes the next chunk, gives what can be told apart so far (perhaps nothing). The result shares no memory with `chunk`. */
  write(chunk: Uint8Array): Buffer {
    if (!this.#automaton) return Buffer.from(chunk);
    const data = Buffer.concat([this.#held, chunk]);
    this.#scan(this.#automaton, data, this.#held.length);
    return this.#release(data, data.length - this.#automaton.depth(this.#row));
  }

  /** Gives what is held back, at the end of the stream; the next `write` begins a new stream. */
  flush(): Buffer {
    const rest = this.#release(this.#held, this.#held.length);
    this.#row = 0;
    this.#finds = [];
    this.#maskedTo = -1;
    return rest;
  }

  #scan(automaton: PatternAutomaton, data: Buffer, from: number): void {
    const { next, columnOf } = automaton;
    let row = this.#row;
    for (let i = from; i < data.length; i += 1) {
      // The three indices exist by construction, which the compiler cannot know; this is the one loop that sees each byte.
      row = next[row + (columnOf[data[i] as number] as number)] as number;
      if (row < 0) {
        row = ~row;
        this.#found(i + 1 - automaton.matchLength(row), i + 1);
      }
    }
    this.#row = row;
  }

  /** Finds come by their ends; a longer one takes in those it covers, overlaps or touches. */
  #found(start: number, end: number): void {
    let first = start;
    for (let last = this.#finds.at(-1); last && last.end >= first; last = this.#finds.at(-1)) {
      first = Math.min(first, last.start);
      this.#finds.pop();
    }
    this.#finds.push({ start: first, end });
  }

  /** Gives out the bytes before `final`, which no later byte can make part of a secret, and keeps the others. */
  #release(data: Buffer, final: number): Buffer {
    const parts: Buffer[] = [];
    let given = Math.min(Math.max(0, this.#maskedTo), final);
    for (const { start, end } of this.#finds) {
      if (start >= final) break;
      if (start > this.#maskedTo) {
        parts.push(data.subarray(given, start), mask);
      }
      this.#maskedTo = Math.max(this.#maskedTo, end);
      given = Math.min(this.#maskedTo, final);
    }
    parts.push(data.subarray(given, final));
    this.#held = data.subarray(final);
    this.#finds = this.#finds
      .filter(({ end }) => end > final)
      .map(({ start, end }) => ({ start: start - final, end: end - final }));
    this.#maskedTo = this.#maskedTo < final ? -1 : this.#maskedTo - final;
    return Buffer.concat(parts);
  }
}
