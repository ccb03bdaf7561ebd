import type { RunLogChunk } from '@fettle/contracts';
import type { Output } from '../../output/output.js';
import { neutralise } from '../../output/text.js';

export interface LogPrinterOptions {
  /** Without the target's name before each line. */
  readonly bare?: boolean;
  /** With the step's id beside the name. */
  readonly withStep?: boolean;
}

/** Streams of which a line is still growing, at most; the oldest is ended with a newline beyond that. */
const MAX_OPEN = 10_000;
/** A line that grows longer than this is printed in pieces. */
const MAX_LINE_CHARACTERS = 65_536;

/**
 * Prints chunks of output line by line, each with its target's name. Chunks may end within a line: what is left waits for the
 * rest of it, so that lines of several hosts never mix. On a terminal, control sequences are made harmless; elsewhere the text
 * stays as the host wrote it.
 */
export class LogPrinter {
  readonly #open = new Map<string, { readonly chunk: RunLogChunk; text: string }>();

  constructor(
    private readonly output: Output,
    private readonly options: LogPrinterOptions = {},
  ) {}

  print(chunk: RunLogChunk): void {
    const key = `${chunk.asset}\n${chunk.step}\n${chunk.attempt}\n${chunk.stream}`;
    const text = (this.#open.get(key)?.text ?? '') + chunk.body;
    const lines = text.split('\n');
    const rest = chunk.stream === 'note' ? '' : (lines.pop() ?? '');
    if (chunk.stream === 'note' && lines.at(-1) === '') lines.pop();
    this.#open.delete(key);
    this.#write(chunk, lines);
    if (rest === '') return;
    if (rest.length > MAX_LINE_CHARACTERS) return this.#write(chunk, [rest]);
    this.#open.set(key, { chunk, text: rest });
    if (this.#open.size <= MAX_OPEN) return;
    const [oldest, line] = this.#open.entries().next().value!;
    this.#open.delete(oldest);
    this.#write(line.chunk, [line.text]);
  }

  /** Prints lines that no newline ended. */
  end(): void {
    for (const { chunk, text } of this.#open.values()) this.#write(chunk, [text]);
    this.#open.clear();
  }

  #write(chunk: RunLogChunk, lines: readonly string[]): void {
    if (lines.length === 0) return;
    const prefix = this.#prefix(chunk);
    const text = lines.map((line) => `${prefix}${this.#shown(chunk, line)}\n`).join('');
    this.output.stdout.write(text);
  }

  #prefix({ asset, step, stream }: RunLogChunk): string {
    if (this.options.bare === true) return '';
    const { colours } = this.output;
    const name = this.options.withStep === true ? `${asset} ${step}` : asset;
    return `${stream === 'stdout' ? colours.cyan(name) : colours.yellow(name)} ${colours.dim('|')} `;
  }

  #shown({ stream }: RunLogChunk, line: string): string {
    const text = this.output.isTerminal ? neutralise(line.replace(/\r+$/, '')) : line;
    return stream === 'note' ? this.output.colours.dim(text) : text;
  }
}
