import type { SourcePosition } from '@fettle/contracts';

/** How much of an offending text a finding shows. */
const MAX_SHOWN_CHARS = 120;

/** A source with its lines: turns offsets (UTF-16 code units from 0) into positions. */
export class SourceText {
  readonly text: string;
  readonly file: string;
  readonly #lineStarts: readonly number[];

  constructor(text: string, file: string) {
    this.text = text;
    this.file = file;
    const starts = [0];
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
    this.#lineStarts = starts;
  }

  positionAt(offset: number): SourcePosition {
    const inside = Math.max(0, Math.min(offset, this.text.length));
    let low = 0;
    let high = this.#lineStarts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#startOf(middle) <= inside) low = middle;
      else high = middle - 1;
    }
    return { file: this.file, line: low + 1, column: inside - this.#startOf(low) + 1 };
  }

  /** The text between two offsets, cut at its first line end and at 120 characters. */
  shown(start: number, end: number): string {
    const [line = ''] = this.text.slice(start, Math.min(end, start + MAX_SHOWN_CHARS)).split(/\r?\n/, 1);
    return line.trimEnd();
  }

  #startOf(line: number): number {
    return this.#lineStarts[line] ?? 0;
  }
}
