const MAX_LINE_CHARACTERS = 2_000;
/** Of each kind of things that a report of an installation tells. */
export const MAX_KEPT = 200;

/** Cuts output that comes in any pieces into lines, each stream for itself; what is written over itself on a terminal is a line each. */
export class OutputLines {
  readonly #rests = { stdout: '', stderr: '' };

  constructor(private readonly take: (line: string, stream: 'stdout' | 'stderr') => void) {}

  add(stream: 'stdout' | 'stderr', text: string): void {
    const lines = (this.#rests[stream] + text).split(/[\r\n]/);
    this.#rests[stream] = (lines.pop() ?? '').slice(-MAX_LINE_CHARACTERS);
    for (const line of lines) this.take(line.slice(0, MAX_LINE_CHARACTERS), stream);
  }
}

/** Adds a line, as far as there is room. */
export function keep(lines: string[], line: string): void {
  if (lines.length < MAX_KEPT) lines.push(line);
}
