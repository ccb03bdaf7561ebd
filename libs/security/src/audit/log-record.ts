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
