import { TextDecoder } from 'node:util';
import { createHash } from 'node:crypto';
import {
  FettleError,
  importRowSchema,
  InvalidDocumentError,
  type Finding,
  type ImportAssetRow,
} from '@fettle/contracts';
import type { FettleRequest } from '../common/request.js';

export const importBodyLimits = Object.freeze({
  maxBytes: 512 * 1024 * 1024,
  maxRows: 1_000_000,
  maxLineBytes: 1_048_576,
  maxFindings: 1000,
});

export interface ImportBody {
  readonly rows: readonly ImportAssetRow[];
  /** `sha256:<hex>` of the bytes received. */
  readonly digest: string;
}

/**
 * Reads NDJSON (one row a line) as it arrives; all wrong rows are reported at once, with their line in the person's file.
 * @throws InvalidDocumentError, FettleError `limit-exceeded`
 */
export async function readImportBody(request: FettleRequest): Promise<ImportBody> {
  const collector = new RowCollector();
  const hash = createHash('sha256');
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let bytes = 0;
  let rest = '';
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > importBodyLimits.maxBytes) throw tooLarge(`more than ${importBodyLimits.maxBytes} bytes`);
    hash.update(chunk);
    const lines = (rest + decode(decoder, chunk)).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > importBodyLimits.maxLineBytes)
      throw tooLarge(`a line of more than ${importBodyLimits.maxLineBytes} characters`);
    for (const line of lines) collector.add(line);
  }
  collector.add(rest + decode(decoder));
  return { rows: collector.finish(), digest: `sha256:${hash.digest('hex')}` };
}

function decode(decoder: TextDecoder, chunk?: Buffer): string {
  try {
    return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
  } catch (cause) {
    throw new FettleError({
      code: 'invalid-request',
      message: 'The import is not UTF-8.',
      remedy: 'Send NDJSON in UTF-8.',
      cause,
    });
  }
}

class RowCollector {
  readonly #rows: ImportAssetRow[] = [];
  readonly #findings: Finding[] = [];
  #errors = 0;
  #line = 0;

  add(line: string): void {
    this.#line += 1;
    if (line.trim() === '') return;
    if (this.#rows.length >= importBodyLimits.maxRows) throw tooLarge(`more than ${importBodyLimits.maxRows} rows`);
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      this.#report({
        code: 'invalid-json',
        message: `line ${this.#line} of the request is not JSON`,
        severity: 'error',
      });
      return;
    }
    const parsed = importRowSchema.safeParse(value);
    if (parsed.success) {
      this.#rows.push(parsed.data as ImportAssetRow);
      return;
    }
    const place = placeOf(value, this.#line);
    for (const issue of parsed.error.issues) {
      const path = issue.path.join('.');
      this.#report({
        code: 'invalid-value',
        message: `${path}: ${issue.message}`,
        severity: 'error',
        path,
        position: place,
      });
    }
  }

  #report(finding: Finding): void {
    this.#errors += 1;
    if (this.#findings.length < importBodyLimits.maxFindings) this.#findings.push(finding);
  }

  finish(): readonly ImportAssetRow[] {
    if (this.#errors > 0) throw new InvalidDocumentError(`The import has ${this.#errors} errors`, this.#findings);
    return this.#rows;
  }
}

/** The line in the person's file where the row names it, else the line of the request. */
function placeOf(value: unknown, line: number): { line: number; column: number } {
  const own = typeof value === 'object' && value !== null && 'line' in value ? value.line : null;
  return { line: typeof own === 'number' && Number.isSafeInteger(own) && own > 0 ? own : line, column: 1 };
}

function tooLarge(what: string): FettleError {
  return new FettleError({ code: 'limit-exceeded', message: `The import has ${what}.`, remedy: 'Split the file.' });
}
