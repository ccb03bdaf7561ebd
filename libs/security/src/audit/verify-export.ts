import { auditExportLineSchema, FettleError, type AuditExportLine } from '@fettle/contracts';
import type { JsonValue } from './canonical.js';
import type { LogRecord } from './log-record.js';
import { verifyLog, type LogReport } from './verify-log.js';

export interface VerifyExportInput {
  /** Gives the lines of the export from the first one on, without their newlines; called twice. */
  readonly readLines: () => Iterable<string> | AsyncIterable<string>;
  /**
   * Checkpoints kept outside the database. Those in the export come from the database: they are verified too, but who cut the
   * log could have cut them as well.
   */
  readonly checkpoints: readonly string[];
  /** The log's public key: SPKI in PEM, or `name+hash+base64`. */
  readonly publicKey: string;
  /** The log's name, first line of each checkpoint. */
  readonly origin: string;
  readonly maxFindings?: number;
}

export interface ExportReport extends LogReport {
  /** Checkpoints given from outside the database. With none, truncation may go unseen. */
  readonly outsideCheckpointCount: number;
}

/**
 * `verifyLog` for an export of the log (NDJSON as of `GET /api/v1/audit/export`). Reads it twice, first for the checkpoints,
 * which come last, and holds none of the records. Throws `invalid-request` with the number of a line that is none of an export,
 * or where the export is cut: that is a fault of the file and says nothing about the log.
 */
export async function verifyExport(input: VerifyExportInput): Promise<ExportReport> {
  const exported = await readCheckpointLines(input.readLines());
  const report = await verifyLog({
    records: records(input.readLines()),
    checkpoints: [...input.checkpoints, ...exported],
    publicKey: input.publicKey,
    origin: input.origin,
    ...(input.maxFindings === undefined ? {} : { maxFindings: input.maxFindings }),
  });
  return { ...report, outsideCheckpointCount: input.checkpoints.length };
}

/** Reads one line of an export. Throws `invalid-request` with its number, from 1. */
export function parseExportLine(line: string, lineNumber: number): AuditExportLine {
  let value: unknown = null;
  try {
    value = JSON.parse(line);
  } catch {
    // Reported below, as any other line that is none of an export.
  }
  const parsed = auditExportLineSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new FettleError({
    code: 'invalid-request',
    message: `line ${lineNumber} of the exported audit log is not a record, a checkpoint or its end`,
    remedy: 'Export the log again; a file that was cut may end in half a line.',
    position: { line: lineNumber, column: 1 },
  });
}

/** What `verifyLog` takes for a line of type `record`. */
export function exportedRecord(line: Extract<AuditExportLine, { type: 'record' }>): LogRecord {
  return {
    position: line.position,
    bytes: Buffer.from(line.canonical, 'base64'),
    leafHash: Buffer.from(line.leafHash, 'hex'),
    // It was read from JSON, so it is JSON.
    shown: line.shown as Readonly<Record<string, JsonValue>>,
  };
}

async function readCheckpointLines(lines: Iterable<string> | AsyncIterable<string>): Promise<string[]> {
  const checkpoints: string[] = [];
  const counts = { sealed: 0, unsealed: 0 };
  let end: { readonly sealed: number; readonly unsealed: number } | null = null;
  let lineNumber = 0;
  for await (const line of lines) {
    lineNumber += 1;
    if (line === '') continue;
    if (end) throw incomplete(`line ${lineNumber} comes after its end`);
    const parsed = parseExportLine(line, lineNumber);
    if (parsed.type === 'end') end = parsed;
    else if (parsed.type === 'checkpoint') checkpoints.push(parsed.note);
    else counts[parsed.position === null ? 'unsealed' : 'sealed'] += 1;
  }
  if (!end) throw incomplete(`it has no line of type "end" after ${lineNumber} lines`);
  if (end.sealed !== counts.sealed || end.unsealed !== counts.unsealed) {
    throw incomplete(`it has ${counts.sealed} sealed and ${counts.unsealed} unsealed records, its end says otherwise`);
  }
  return checkpoints;
}

async function* records(lines: Iterable<string> | AsyncIterable<string>): AsyncGenerator<LogRecord, void, undefined> {
  let lineNumber = 0;
  for await (const line of lines) {
    lineNumber += 1;
    if (line === '') continue;
    const parsed = parseExportLine(line, lineNumber);
    if (parsed.type === 'record') yield exportedRecord(parsed);
  }
}

function incomplete(why: string): FettleError {
  return new FettleError({
    code: 'invalid-request',
    message: `the exported audit log is not whole: ${why}`,
    remedy: 'Export the log again.',
  });
}
