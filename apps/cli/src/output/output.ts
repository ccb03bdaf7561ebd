import { FettleError, InvalidDocumentError } from '@fettle/contracts';
import { stringify } from 'yaml';
import { ApiProblemError, InvalidFileError, messageOf } from '../session/errors.js';
import type { CliHost, Sink } from '../session/host.js';
import { coloursFor, type Colours } from './colours.js';
import { renderFindings, type FindingRenderer } from './findings.js';
import { renderFields, renderTable, type Column } from './table.js';
import { neutralise } from './text.js';

export const outputFormats = ['table', 'json', 'yaml'] as const;
export type OutputFormat = (typeof outputFormats)[number];

/** Narrower than any real terminal is not believed. */
const MIN_COLUMNS = 40;

/** What a command says: data on stdout, everything else on stderr. */
export class Output {
  readonly colours: Colours;
  readonly errorColours: Colours;
  /** How a command that has read documents shows findings in them. */
  findingRenderer: FindingRenderer | undefined;

  constructor(private readonly host: CliHost) {
    this.colours = coloursFor(host.stdout, host.env);
    this.errorColours = coloursFor(host.stderr, host.env);
  }

  get stdout(): Sink {
    return this.host.stdout;
  }

  get stderr(): Sink {
    return this.host.stderr;
  }

  get isTerminal(): boolean {
    return this.host.stdout.isTTY === true;
  }

  /** Data for programs, as one JSON or YAML document, or `table` for people. */
  data(format: OutputFormat, value: unknown, table: () => string): void {
    if (format === 'json') this.host.stdout.write(`${JSON.stringify(value, null, this.isTerminal ? 2 : undefined)}\n`);
    else if (format === 'yaml') this.host.stdout.write(stringify(value, { lineWidth: 0 }));
    else this.host.stdout.write(table());
  }

  /** A list: `[]` where it is empty, and for people a word about that on stderr. */
  list<Row>(format: OutputFormat, rows: readonly Row[], columns: readonly Column<Row>[], none: string): void {
    if (rows.length === 0 && format === 'table') return this.note(none);
    this.data(format, rows, () => this.table(rows, columns));
  }

  table<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
    const maxWidth = this.isTerminal ? Math.max(MIN_COLUMNS, this.host.stdout.columns ?? 80) : undefined;
    return renderTable(rows, columns, { colours: this.colours, maxWidth });
  }

  fields(
    fields: readonly (readonly [name: string, value: string | number | null | undefined])[],
    paint?: (name: string, text: string) => string,
  ): string {
    return renderFields(fields, this.colours, paint);
  }

  /** Waits for a slow reader of stdout, so that what it has not read does not fill the memory. */
  async drained(): Promise<void> {
    const { stdout } = this.host;
    if (stdout.writableNeedDrain !== true || stdout.once === undefined) return;
    await new Promise<void>((resolve) => stdout.once?.('drain', resolve));
  }

  /** A message for the person; never data. */
  note(text: string): void {
    this.host.stderr.write(`${neutralise(text)}\n`);
  }

  warn(text: string): void {
    this.host.stderr.write(`${this.errorColours.yellow('warning')}: ${neutralise(text)}\n`);
  }

  /** `error: message`, the findings with their places, and what the person can do. */
  error(error: unknown): void {
    const { errorColours: colours, host } = this;
    const message = messageOf(error);
    host.stderr.write(`${colours.red('error')}: ${neutralise(message)}\n`);
    const hasFindings =
      error instanceof ApiProblemError || error instanceof InvalidDocumentError || error instanceof InvalidFileError;
    const findings = hasFindings ? error.findings : [];
    host.stderr.write(renderFindings(findings, colours, this.findingRenderer));
    if (error instanceof FettleError && error.remedy !== undefined)
      host.stderr.write(`  what to do: ${neutralise(error.remedy)}\n`);
    if (error instanceof ApiProblemError && error.status >= 500 && error.requestId !== null)
      host.stderr.write(`  request id: ${neutralise(error.requestId)}\n`);
  }
}
