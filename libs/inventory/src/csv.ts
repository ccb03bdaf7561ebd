import type { SourcePosition } from '@fettle/contracts';
import { canonicalLabels, trimCell } from './canonical.js';
import {
  importColumns,
  labelKeyProblem,
  labelProblem,
  setColumn,
  type ImportColumn,
  type RowDraft,
} from './columns.js';
import { columnOf, csvPosition, scanCsv, type CsvRecord } from './csv-scan.js';
import { FindingList, IMPORT_LIMITS, shorten, type ImportResult, type ImportRow } from './import-row.js';
import { nearest } from './nearest.js';

export interface CsvImportOptions {
  /** Name of the file, for positions. */
  readonly file?: string;
}

type Column =
  | { readonly kind: 'asset'; readonly name: ImportColumn }
  | { readonly kind: 'label'; readonly key: string }
  | { readonly kind: 'ignored' };

/**
 * Reads assets from CSV (RFC 4180). The first record names the columns, in any order: those of `importColumns` and `label.<key>`.
 * An empty cell means "not given". Never throws for what the text holds; every problem is a finding with line and column.
 */
export function parseCsvInventory(text: string, options: CsvImportOptions = {}): ImportResult {
  const reader = new CsvReader(text, options.file);
  scanCsv(text, {
    maxCells: IMPORT_LIMITS.maxColumns,
    onRecord: (record) => reader.take(record),
    onSyntaxError: (message, offset, line) => reader.syntaxError(message, offset, line),
  });
  return reader.finish();
}

class CsvReader {
  readonly #text: string;
  readonly #file: string | undefined;
  readonly #findings = new FindingList();
  readonly #rows: ImportRow[] = [];
  readonly #lineOfName = new Map<string, number>();
  #columns: Column[] | null = null;

  constructor(text: string, file: string | undefined) {
    this.#text = text;
    this.#file = file;
  }

  syntaxError(message: string, offset: number, line: number): void {
    const position = { file: this.#file, line, column: columnOf(this.#text, offset) };
    this.#findings.error('csv-syntax', message, position, {
      text: this.#text.slice(offset, offset + 40).split(/[\r\n]/, 1)[0] ?? '',
    });
  }

  take(record: CsvRecord): boolean {
    if (this.#columns === null) {
      this.#columns = this.#readHeader(record);
      return this.#columns.length > 0;
    }
    if (this.#rows.length >= IMPORT_LIMITS.maxRows) {
      const message = `more than ${IMPORT_LIMITS.maxRows} assets: split the file`;
      this.#findings.error('too-many-rows', message, { file: this.#file, line: record.line, column: 1 });
      return false;
    }
    this.#readRow(record, this.#columns);
    return true;
  }

  finish(): ImportResult {
    if (this.#columns === null) {
      this.#findings.error('csv-empty', 'the file is empty; its first line must name the columns', {
        file: this.#file,
        line: 1,
        column: 1,
      });
    }
    return { rows: this.#rows, ...this.#findings.result() };
  }

  #position(record: CsvRecord, index: number): SourcePosition {
    const offset = record.offsets[index] ?? record.offsets.at(-1) ?? 0;
    return csvPosition(this.#text, this.#file, record.offsets[0] ?? 0, record.line, offset);
  }

  /** An empty result stops the import: without a trustworthy header every row would be wrong. */
  #readHeader(record: CsvRecord): Column[] {
    if (record.cellCount > IMPORT_LIMITS.maxColumns) {
      const message = `the header has ${record.cellCount} columns; at most ${IMPORT_LIMITS.maxColumns} are read`;
      this.#findings.error('too-many-columns', message, this.#position(record, IMPORT_LIMITS.maxColumns - 1));
      return [];
    }
    const separator = record.cellCount === 1 ? /[;\t|]/.exec(record.cells[0] ?? '')?.[0] : undefined;
    if (separator !== undefined) {
      this.#findings.error('missing-column', 'the header is a single column', this.#position(record, 0), {
        text: record.cells.join(','),
        suggestion: `separate the columns by commas, not by ${JSON.stringify(separator)}`,
      });
      return [];
    }
    const seen = new Set<string>();
    const columns = record.cells.map((cell, index): Column => {
      const name = trimCell(cell);
      const column = this.#readColumn(name, record, index);
      if (column.kind !== 'ignored' && seen.has(name)) {
        this.#findings.error(
          'duplicate-column',
          `column "${shorten(name, 60)}" is there twice`,
          this.#position(record, index),
          { text: name },
        );
        return { kind: 'ignored' };
      }
      seen.add(name);
      return column;
    });
    if (seen.has('name')) return columns;
    const text = record.cells.join(',');
    this.#findings.error('missing-column', 'the header has no column "name"', this.#position(record, 0), { text });
    return [];
  }

  #readColumn(name: string, record: CsvRecord, index: number): Column {
    const known = importColumns.find((column) => column === name);
    if (known) return { kind: 'asset', name: known };
    if (name.startsWith('label.')) {
      const key = name.slice('label.'.length);
      const problem = labelKeyProblem(key);
      if (problem === null) return { kind: 'label', key };
      this.#findings.error('invalid-label', problem, this.#position(record, index), { text: name });
      return { kind: 'ignored' };
    }
    const message = name === '' ? `column ${index + 1} has no name` : `unknown column "${shorten(name, 60)}"`;
    const like = nearest(name, importColumns);
    this.#findings.error('unknown-column', message, this.#position(record, index), {
      text: name,
      suggestion: like ?? `the columns are ${importColumns.join(', ')} and label.<key>`,
    });
    return { kind: 'ignored' };
  }

  #readRow(record: CsvRecord, columns: readonly Column[]): void {
    if (record.cells.every((cell) => trimCell(cell) === '')) return;
    if (record.cellCount !== columns.length) {
      const message = `the row has ${record.cellCount} cells, the header has ${columns.length} columns`;
      this.#findings.error(
        'wrong-cell-count',
        message,
        this.#position(record, Math.min(columns.length, record.cells.length - 1)),
      );
      return;
    }
    const row: RowDraft = { line: record.line, name: '', labels: {} };
    if (this.#file !== undefined) row.file = this.#file;
    const errorsBefore = this.#findings.errorCount;
    columns.forEach((column, index) => this.#readCell(row, column, record, index));
    this.#checkName(row, record, columns);
    if (this.#findings.errorCount > errorsBefore) return;
    row.labels = canonicalLabels(row.labels);
    this.#rows.push(row);
  }

  #readCell(row: RowDraft, column: Column, record: CsvRecord, index: number): void {
    const cell = record.cells[index] ?? '';
    if (cell.length > IMPORT_LIMITS.maxFieldChars) {
      const message = `the cell has ${cell.length} characters; at most ${IMPORT_LIMITS.maxFieldChars} are read`;
      this.#findings.error('field-too-long', message, this.#position(record, index), { text: cell.slice(0, 200) });
      return;
    }
    const text = trimCell(cell);
    if (text === '' || column.kind === 'ignored') return;
    if (column.kind === 'label') {
      const problem = labelProblem(column.key, text);
      if (problem === null) row.labels[column.key] = text;
      else this.#findings.error('invalid-label', problem, this.#position(record, index), { text });
      return;
    }
    const problem = setColumn(row, column.name, text);
    if (problem === null) return;
    // A credential cell may hold a secret by mistake; it is not repeated.
    const shown = column.name === 'credential' ? 'the cell' : `"${shorten(text, 60)}"`;
    this.#findings.error(
      'invalid-value',
      `${column.name}: ${shown} ${problem.message}`,
      this.#position(record, index),
      {
        ...(column.name === 'credential' ? {} : { text }),
        ...(problem.suggestion === undefined ? {} : { suggestion: problem.suggestion }),
      },
    );
  }

  #checkName(row: RowDraft, record: CsvRecord, columns: readonly Column[]): void {
    const index = columns.findIndex((column) => column.kind === 'asset' && column.name === 'name');
    const given = trimCell(record.cells[index] ?? '');
    if (given === '') this.#findings.error('missing-name', 'the row has no name', this.#position(record, index));
    if (row.name === '') return;
    const firstLine = this.#lineOfName.get(row.name);
    if (firstLine === undefined) {
      this.#lineOfName.set(row.name, record.line);
      return;
    }
    const message = `"${row.name}" is already described on line ${firstLine}`;
    this.#findings.error('duplicate-name', message, this.#position(record, index), { text: row.name });
  }
}
