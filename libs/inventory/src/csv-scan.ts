import type { SourcePosition } from '@fettle/contracts';

/** One record of a CSV text. `offsets` are where each cell starts (its quote included), as indexes into the text. */
export interface CsvRecord {
  readonly line: number;
  readonly cells: readonly string[];
  readonly offsets: readonly number[];
  /** Cells beyond the limit are counted here and not kept. */
  readonly cellCount: number;
}

export interface CsvScanOptions {
  readonly maxCells: number;
  /** Return false to stop. */
  readonly onRecord: (record: CsvRecord) => boolean;
  readonly onSyntaxError: (message: string, offset: number, line: number) => void;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const CR = 0x0d;
const LF = 0x0a;

/**
 * Reads CSV by RFC 4180 in one pass: CRLF, LF or CR end a record, quoted cells may hold any of them, a byte order mark is skipped,
 * empty lines are not records. Where a quote is misplaced it says so and goes on with the next cell, so that one slip does not hide
 * the rest. Written here because csv-parse 7 gives no columns, and counts a CRLF inside quotes as two lines.
 */
export function scanCsv(text: string, options: CsvScanOptions): void {
  let at = text.charCodeAt(0) === 0xfeff ? 1 : 0;
  let line = 1;
  while (at < text.length) {
    const record = scanRecord(text, at, line, options);
    at = record.next;
    line = record.nextLine;
    const isEmptyLine =
      record.cellCount === 1 && record.cells[0]?.trim() === '' && text.charCodeAt(record.offsets[0] ?? 0) !== QUOTE;
    if (!isEmptyLine && !options.onRecord(record)) return;
  }
}

interface ScannedRecord extends CsvRecord {
  next: number;
  nextLine: number;
}

function scanRecord(text: string, start: number, line: number, options: CsvScanOptions): ScannedRecord {
  const cells: string[] = [];
  const offsets: number[] = [];
  let cellCount = 0;
  let at = start;
  let currentLine = line;
  for (;;) {
    const offset = at;
    let cell: string;
    if (text.charCodeAt(at) === QUOTE) {
      const quoted = scanQuoted(text, at, currentLine, options);
      cell = quoted.cell;
      at = quoted.next;
      currentLine = quoted.line;
    } else {
      at = endOfPlainCell(text, at);
      cell = text.slice(offset, at);
      const quote = cell.indexOf('"');
      if (quote >= 0) options.onSyntaxError(MISPLACED_QUOTE, offset + quote, currentLine);
    }
    cellCount += 1;
    if (cellCount <= options.maxCells) {
      cells.push(cell);
      offsets.push(offset);
    }
    if (text.charCodeAt(at) === COMMA) {
      at += 1;
      continue;
    }
    return { line, cells, offsets, cellCount, next: afterLineEnd(text, at), nextLine: currentLine + 1 };
  }
}

const MISPLACED_QUOTE =
  'a quote stands inside a cell that does not start with one: put the whole cell in quotes and double the quotes inside it';

/** Index of the comma, line end or end of text that ends an unquoted cell. */
function endOfPlainCell(text: string, from: number): number {
  let at = from;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === COMMA || code === LF || code === CR) return at;
    at += 1;
  }
  return at;
}

function scanQuoted(
  text: string,
  start: number,
  line: number,
  options: CsvScanOptions,
): { cell: string; next: number; line: number } {
  let cell = '';
  let from = start + 1;
  for (;;) {
    const quote = text.indexOf('"', from);
    if (quote < 0) {
      options.onSyntaxError('a quote is opened here and never closed', start, line);
      return { cell: cell + text.slice(from), next: text.length, line };
    }
    cell += text.slice(from, quote);
    if (text.charCodeAt(quote + 1) !== QUOTE) {
      const next = endOfPlainCell(text, quote + 1);
      const endLine = line + countLineEnds(text, start, quote);
      // Blanks before the comma are what hand-aligned files have; anything else would be lost.
      if (text.slice(quote + 1, next).trim() !== '')
        options.onSyntaxError(
          'text follows the closing quote: double a quote that belongs to the cell',
          quote + 1,
          endLine,
        );
      return { cell, next, line: endLine };
    }
    cell += '"';
    from = quote + 2;
  }
}

function afterLineEnd(text: string, at: number): number {
  return text.charCodeAt(at) === CR && text.charCodeAt(at + 1) === LF ? at + 2 : at + 1;
}

/** Line ends in [from, to); CRLF is one. */
function countLineEnds(text: string, from: number, to: number): number {
  let count = 0;
  for (let at = from; at < to; at += 1) {
    const code = text.charCodeAt(at);
    if (code === LF || (code === CR && text.charCodeAt(at + 1) !== LF)) count += 1;
  }
  return count;
}

/** Line and column (from 1) of an offset inside a record that starts at `recordOffset` on `recordLine`. */
export function csvPosition(
  text: string,
  file: string | undefined,
  recordOffset: number,
  recordLine: number,
  offset: number,
): SourcePosition {
  const line = recordLine + countLineEnds(text, recordOffset, offset);
  return { file, line, column: columnOf(text, offset) };
}

/** Column of an offset, counted from the last line end or the start of the text, its byte order mark left out. */
export function columnOf(text: string, offset: number): number {
  const lineStart = Math.max(text.lastIndexOf('\n', offset - 1), text.lastIndexOf('\r', offset - 1)) + 1;
  const start = offset === 0 ? 0 : lineStart === 0 && text.charCodeAt(0) === 0xfeff ? 1 : lineStart;
  return offset - start + 1;
}
