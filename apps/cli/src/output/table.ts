import type { Colours } from './colours.js';
import { displayWidth, oneLine, truncate, wrap } from './text.js';

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string | number | null | undefined;
  readonly align?: 'left' | 'right';
  /** Of the last column: where it is too narrow for a cell, the cell goes on below, over so many lines; default: it is cut. */
  readonly maxLines?: number;
  /** Colours the finished cell. */
  readonly paint?: (cell: string, row: Row) => string;
}

export interface TableOptions {
  readonly colours: Colours;
  /** The last column is cut so that a row fits; undefined (no terminal): nothing is cut. */
  readonly maxWidth?: number | undefined;
}

const GAP = '  ';
const MIN_LAST_WIDTH = 12;

/** Lines of a plain table: titles, then a line a row. Cells are made safe for a terminal. */
export function renderTable<Row>(rows: readonly Row[], columns: readonly Column<Row>[], options: TableOptions): string {
  const cells = rows.map((row) => columns.map((column) => oneLine(String(column.value(row) ?? ''))));
  const widths = columns.map((column, index) =>
    cells.reduce((width, row) => Math.max(width, displayWidth(row[index] ?? '')), column.title.length),
  );
  const last = columns.length - 1;
  if (options.maxWidth !== undefined) {
    const before = widths.slice(0, last).reduce((sum, width) => sum + width + GAP.length, 0);
    widths[last] = Math.min(widths[last] ?? 0, Math.max(MIN_LAST_WIDTH, options.maxWidth - before));
  }
  const line = (texts: readonly string[], paint: (text: string, index: number) => string): string =>
    texts
      .map((shown, index) => {
        const padding = ' '.repeat(Math.max(0, (widths[index] ?? 0) - displayWidth(shown)));
        if (columns[index]?.align === 'right') return padding + paint(shown, index);
        return paint(shown, index) + (index === last ? '' : padding);
      })
      .join(GAP)
      .trimEnd();
  const head = line(
    columns.map(({ title }, index) => (index === last ? truncate(title, widths[index] ?? 0) : title)),
    (text) => options.colours.bold(text),
  );
  const body = cells.flatMap((texts, rowIndex) => {
    const pieces = wrap(texts[last] ?? '', widths[last] ?? 0, columns[last]?.maxLines ?? 1);
    return pieces.map((piece, number) =>
      line([...(number === 0 ? texts : texts.map(() => '')).slice(0, last), piece], (text, index) =>
        text === '' ? text : (columns[index]?.paint?.(text, rows[rowIndex] as Row) ?? text),
      ),
    );
  });
  return `${[head, ...body].join('\n')}\n`;
}

/** Lines `name  value`, for one thing. Lines without a value are left out. */
export function renderFields(
  fields: readonly (readonly [name: string, value: string | number | null | undefined])[],
  colours: Colours,
  paint: (name: string, text: string) => string = (_name, text) => text,
): string {
  const shown = fields.filter(([, value]) => value !== null && value !== undefined && value !== '');
  const width = Math.max(0, ...shown.map(([name]) => name.length));
  return shown
    .map(([name, value]) => `${colours.dim(name.padEnd(width))}  ${paint(name, oneLine(String(value)))}\n`)
    .join('');
}
