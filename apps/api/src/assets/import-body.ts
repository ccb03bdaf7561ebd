import { TextDecoder } from 'node:util';
import { createHash } from 'node:crypto';
import { FettleError, importRowSchema, type Finding, type ImportAssetRow } from '@fettle/contracts';
import { ImportFindings } from '@fettle/operations';
import type { FettleRequest, FettleResponse } from '../common/request.js';

export const importBodyLimits = Object.freeze({
  maxBytes: 512 * 1024 * 1024,
  maxRows: 1_000_000,
  maxLineBytes: 1_048_576,
});

export interface ImportBody {
  readonly rows: readonly ImportAssetRow[];
  /** `sha256:<hex>` of the bytes received. */
  readonly digest: string;
}

/**
 * Reads NDJSON (one row a line) as it arrives; all wrong rows are reported at once, with their line in the person's file.
 * @throws FettleError `invalid-import` with all findings, `limit-exceeded`, `invalid-request`
 */
export async function readImportBody(request: FettleRequest, response: FettleResponse): Promise<ImportBody> {
  const reader = new BodyReader();
  let bytes = 0;
  let failure: Error | null = null;
  // Leaving the loop early must not destroy the request: the connection would stay open and never answer again.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > importBodyLimits.maxBytes) {
      response.setHeader('connection', 'close');
      throw failure ?? tooLarge(`more than ${importBodyLimits.maxBytes} bytes`);
    }
    if (failure !== null) continue;
    try {
      reader.take(chunk);
    } catch (error) {
      // What is wrong is said once the client has sent all: many read no answer before.
      failure = error instanceof Error ? error : new Error(String(error));
    }
  }
  if (failure !== null) throw failure;
  return reader.finish();
}

/** Reads a body that nobody wants and keeps nothing of it: many clients read no answer before they have sent all. */
export async function passOver(request: FettleRequest, response: FettleResponse): Promise<void> {
  let bytes = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes <= importBodyLimits.maxBytes) continue;
    response.setHeader('connection', 'close');
    return;
  }
}

/** Splits the body into lines as it arrives. */
class BodyReader {
  readonly #collector = new RowCollector();
  readonly #hash = createHash('sha256');
  readonly #decoder = new TextDecoder('utf-8', { fatal: true });
  #rest = '';

  take(chunk: Buffer): void {
    this.#hash.update(chunk);
    const lines = (this.#rest + decode(this.#decoder, chunk)).split('\n');
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > importBodyLimits.maxLineBytes)
      throw tooLarge(`a line of more than ${importBodyLimits.maxLineBytes} characters`);
    for (const line of lines) this.#collector.add(line);
  }

  finish(): ImportBody {
    this.#collector.add(this.#rest + decode(this.#decoder));
    return { rows: this.#collector.finish(), digest: `sha256:${this.#hash.digest('hex')}` };
  }
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

/** Checks rows as they come; once one is wrong, the others are only checked. */
class RowCollector {
  readonly #rows: ImportAssetRow[] = [];
  readonly #findings = new ImportFindings();
  readonly #lineOfName = new Map<string, ImportAssetRow>();
  #count = 0;
  #line = 0;

  add(line: string): void {
    this.#line += 1;
    if (line.trim() === '') return;
    this.#count += 1;
    if (this.#count > importBodyLimits.maxRows) throw tooLarge(`more than ${importBodyLimits.maxRows} rows`);
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      const message = `line ${this.#line} of the request is not JSON`;
      this.#findings.add({ code: 'invalid-json', message, severity: 'error' });
      return;
    }
    const parsed = importRowSchema.safeParse(value);
    if (parsed.success) this.#take(parsed.data);
    else for (const issue of parsed.error.issues) this.#findings.add(this.#findingOf(issue, value));
  }

  #take(row: ImportAssetRow): void {
    const earlier = this.#lineOfName.get(row.name);
    if (earlier !== undefined) return this.#findings.addDuplicate(row, earlier);
    this.#lineOfName.set(row.name, row);
    if (this.#findings.count === 0) this.#rows.push(row);
    else this.#rows.length = 0;
  }

  #findingOf(issue: { readonly path: readonly PropertyKey[]; readonly message: string }, value: unknown): Finding {
    const path = issue.path.map(String).join('.');
    const message = path === '' ? issue.message : `${path}: ${issue.message}`;
    return { code: 'invalid-value', message, severity: 'error', path, position: placeOf(value, this.#line) };
  }

  finish(): readonly ImportAssetRow[] {
    this.#findings.throwIfAny();
    return this.#rows;
  }
}

/** The place in the person's file where the row names it, else the line of the request. */
function placeOf(value: unknown, line: number): NonNullable<Finding['position']> {
  const row: { line?: unknown; file?: unknown } = typeof value === 'object' && value !== null ? value : {};
  const own = typeof row.line === 'number' && Number.isSafeInteger(row.line) && row.line > 0 ? row.line : line;
  return { ...(typeof row.file === 'string' ? { file: row.file.slice(0, 1000) } : {}), line: own, column: 1 };
}

function tooLarge(what: string): FettleError {
  return new FettleError({ code: 'limit-exceeded', message: `The import has ${what}.`, remedy: 'Split the file.' });
}
