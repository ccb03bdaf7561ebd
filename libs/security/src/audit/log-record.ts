import { FettleError } from '@fettle/contracts';
import { z } from 'zod';
import type { JsonValue } from './canonical.js';

/** One stored record. Sealed ones come in the order of their positions, as the log gives them. */
export interface LogRecord {
  /** From 0, without gaps; null for a record that the sealer has not reached. */
  readonly position: number | null;
  /** The canonical bytes as stored. */
  readonly bytes: Uint8Array;
  /** The leaf hash as stored. */
  readonly leafHash: Uint8Array;
  /**
   * Values that the database keeps beside the bytes for searching, by member of the record (`{action: 'run.start'}`): what
   * people are shown must be what was hashed. A value other than in the bytes is a finding.
   */
  readonly shown?: Readonly<Record<string, JsonValue>>;
}

const lineSchema = z.strictObject({ position: z.number().nullable(), leafHash: z.base64(), bytes: z.base64() });

/** One line of an exported log, without its newline: `{"position":0,"leafHash":"<base64>","bytes":"<base64>"}`. */
export function formatLogLine({ position, leafHash, bytes }: LogRecord): string {
  return JSON.stringify({
    position,
    leafHash: Buffer.from(leafHash).toString('base64'),
    bytes: Buffer.from(bytes).toString('base64'),
  });
}

/** Reads one line of an exported log. Throws `invalid-request` with the line's number where it is none. */
export function parseLogLine(line: string, lineNumber: number): LogRecord {
  let value: unknown = null;
  try {
    value = JSON.parse(line);
  } catch {
    // Reported below, as any other line that is not one of an export.
  }
  const parsed = lineSchema.safeParse(value);
  if (!parsed.success) {
    throw new FettleError({
      code: 'invalid-request',
      message: `line ${lineNumber} of the exported log is not {"position", "leafHash", "bytes"}`,
      remedy: 'Export the log again; a file that was cut ends in half a line.',
      position: { line: lineNumber, column: 1 },
    });
  }
  const { position, leafHash, bytes } = parsed.data;
  return { position, leafHash: Buffer.from(leafHash, 'base64'), bytes: Buffer.from(bytes, 'base64') };
}
