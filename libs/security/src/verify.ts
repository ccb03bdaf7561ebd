import { FettleError } from '@fettle/contracts';
import { canonicalJson, type JsonValue } from './audit/canonical.js';
import { openCheckpoint } from './audit/checkpoint.js';
import { MerkleFrontier } from './audit/merkle-frontier.js';
import { hashBytes, leafHash, sameHash } from './audit/merkle-hash.js';
import { createNoteVerifier } from './audit/signed-note.js';
import { FindingList, PositionGaps, type LogFinding } from './audit/log-findings.js';

// All that an auditor needs, without a database, a network or a clock.
export { leafHash, nodeHash, emptyRoot } from './audit/merkle-hash.js';
export { MerkleFrontier } from './audit/merkle-frontier.js';
export {
  verifyConsistency,
  verifyInclusion,
  type ConsistencyClaim,
  type InclusionClaim,
} from './audit/merkle-proof.js';
export { openCheckpoint, splitCheckpoints, type Checkpoint, type OpenedCheckpoint } from './audit/checkpoint.js';
export { createNoteVerifier, type NoteVerifier } from './audit/signed-note.js';
export { parseAuditRecord, type AuditRecord } from './audit/record.js';
export { canonicalBytes, canonicalJson, type JsonValue } from './audit/canonical.js';
export type { LogFinding, LogFindingKind } from './audit/log-findings.js';

/** More checkpoints than this are refused: keep one a day of old ones, each vouches for all records before it. */
export const maxCheckpoints = 1_000_000;

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

export interface VerifyLogInput {
  readonly records: Iterable<LogRecord> | AsyncIterable<LogRecord>;
  /** Signed checkpoints, in any order, from where who can change the records could not change them. */
  readonly checkpoints: Iterable<string> | AsyncIterable<string>;
  /** The log's public key: SPKI in PEM, or `name+hash+base64`. */
  readonly publicKey: string;
  /** The log's name, first line of each checkpoint. */
  readonly origin: string;
  /** Findings beyond these are counted and not listed. */
  readonly maxFindings?: number;
}

export interface LogReport {
  /** No finding, the omitted ones included. */
  readonly ok: boolean;
  /** Sealed records read. */
  readonly size: number;
  /** All records before this position are proven: a valid checkpoint has the root of their hashes, and no finding is among them. */
  readonly provenSize: number;
  /** Sealed records after the largest valid checkpoint: nothing vouches for them yet. */
  readonly uncoveredCount: number;
  readonly unsealedCount: number;
  readonly checkpointCount: number;
  readonly findings: readonly LogFinding[];
  readonly omittedFindings: number;
}

interface KnownRoot {
  readonly size: number;
  readonly root: Buffer;
}

/**
 * Compares the log with its checkpoints, reading each record once: memory grows with the checkpoints, not with the records.
 *
 * Any edit, deletion, insertion, exchange or truncation among the records that a checkpoint covers is found, provided that the
 * private key and the checkpoints given were out of the attacker's reach. Where a hash alone cannot tell what was done (an edit
 * with a new leaf hash, two exchanged records), the finding is `checkpoint-mismatch` with the range it lies in.
 *
 * Throws FettleError `invalid-key-file` for an unusable key, `limit-exceeded` for more than `maxCheckpoints`.
 */
export async function verifyLog(input: VerifyLogInput): Promise<LogReport> {
  const findings = new FindingList(input.maxFindings ?? 1000);
  const { known, count } = await readCheckpoints(input, findings);
  const walk = new LogWalk(known, findings);
  let unsealedCount = 0;
  for await (const record of input.records) {
    if (record.position === null) {
      unsealedCount += 1;
      checkRecord(record, findings);
    } else {
      walk.take(record, record.position);
    }
  }
  walk.end();
  const covered = known.at(-1)?.size ?? 0;
  return {
    ok: findings.count === 0,
    size: walk.size,
    provenSize: Math.min(walk.matchedSize, findings.firstPosition),
    uncoveredCount: Math.max(0, walk.nextPosition - covered),
    unsealedCount,
    checkpointCount: count,
    findings: findings.sorted(),
    omittedFindings: findings.omitted,
  };
}

/** The valid checkpoints by size, each pair of size and root once. */
async function readCheckpoints(
  input: VerifyLogInput,
  findings: FindingList,
): Promise<{ known: KnownRoot[]; count: number }> {
  const verifier = createNoteVerifier(input.publicKey, input.origin);
  const known = new Map<string, KnownRoot>();
  let count = 0;
  for await (const note of input.checkpoints) {
    if (count >= maxCheckpoints) {
      throw new FettleError({
        code: 'limit-exceeded',
        message: `more than ${maxCheckpoints} checkpoints`,
        remedy: 'Leave out old ones: one a day is enough, and the newest covers all records.',
      });
    }
    count += 1;
    const opened = openCheckpoint(note, verifier);
    if (opened.ok) {
      const { size, root } = opened.checkpoint;
      known.set(`${size}:${root.toString('base64')}`, { size, root });
    } else {
      findings.add({
        kind: 'bad-signature',
        position: null,
        count: 1,
        message: `checkpoint ${count}: ${opened.reason}`,
      });
    }
  }
  return { known: [...known.values()].sort((left, right) => left.size - right.size), count };
}

/** Follows the sealed records and compares the root with each checkpoint on the way. */
class LogWalk {
  size = 0;
  /** Size of the largest checkpoint whose root the stored leaf hashes have. */
  matchedSize = 0;
  nextPosition = 0;
  readonly #known: readonly KnownRoot[];
  readonly #findings: FindingList;
  readonly #tree = MerkleFrontier.empty();
  readonly #gaps = new PositionGaps();
  #nextCheckpoint = 0;
  /** Checkpoints that did not match since the last one that did. */
  #mismatch: { from: number; to: number; count: number } | null = null;

  constructor(known: readonly KnownRoot[], findings: FindingList) {
    this.#known = known;
    this.#findings = findings;
  }

  take(record: LogRecord, position: number): void {
    this.#compare();
    this.size += 1;
    checkRecord(record, this.#findings);
    if (!Number.isSafeInteger(position) || position < 0) {
      this.#findings.add({
        kind: 'inserted',
        position: null,
        count: 1,
        message: `a record has the position ${position}`,
      });
    } else if (position < this.nextPosition) {
      this.#late(position);
    } else {
      if (position > this.nextPosition) this.#gaps.open(this.nextPosition, position);
      this.nextPosition = position + 1;
      // Once a leaf is missing, no later root can be computed: what follows is checked record by record only. The stored
      // hash goes into the tree: an edited record is then named by its own hash and the rest can still be proven.
      if (this.#tree.size === position && record.leafHash.byteLength === hashBytes) this.#tree.append(record.leafHash);
    }
  }

  end(): void {
    this.#compare();
    this.#endMismatch();
    for (const gap of this.#gaps.remaining()) {
      const count = gap.end - gap.start;
      const message =
        count === 1 ? `record ${gap.start} is missing` : `records ${gap.start} to ${gap.end - 1} are missing`;
      this.#findings.add({ kind: 'deleted', position: gap.start, count, message });
    }
    const covered = this.#known.at(-1)?.size ?? 0;
    if (covered > this.nextPosition) {
      const message = `the log ends at ${this.nextPosition} records, but a checkpoint covers ${covered}`;
      this.#findings.add({
        kind: 'truncated',
        position: this.nextPosition,
        count: covered - this.nextPosition,
        message,
      });
    }
  }

  /** A position that came before, or that others have overtaken. */
  #late(position: number): void {
    const missing = this.#gaps.close(position);
    const message = missing
      ? `record ${position} comes after records with later positions`
      : `there is more than one record at position ${position}`;
    this.#findings.add({ kind: missing ? 'reordered' : 'inserted', position, count: 1, message });
  }

  #compare(): void {
    // While a leaf is missing the tree stays at its size, so no checkpoint beyond the gap is compared.
    for (
      let next = this.#known[this.#nextCheckpoint];
      next && next.size === this.#tree.size;
      next = this.#known[this.#nextCheckpoint]
    ) {
      this.#nextCheckpoint += 1;
      if (sameHash(this.#tree.root(), next.root)) {
        this.#endMismatch();
        this.matchedSize = next.size;
      } else if (this.#mismatch) {
        this.#mismatch.count += 1;
      } else {
        this.#mismatch = { from: this.matchedSize, to: next.size, count: 1 };
      }
    }
  }

  #endMismatch(): void {
    if (!this.#mismatch) return;
    const { from, to, count } = this.#mismatch;
    const where = to > from ? `among records ${from} to ${to - 1}` : `at size ${to}`;
    const more = count > 1 ? ` (and ${count - 1} later checkpoints that include them)` : '';
    const message = `the records do not have the root that the checkpoint of size ${to} signed: something was changed ${where}${more}`;
    this.#findings.add({ kind: 'checkpoint-mismatch', position: from, count: to - from, message });
    this.#mismatch = null;
  }
}

/** What one record shows by itself. */
function checkRecord(record: LogRecord, findings: FindingList): void {
  const name = record.position === null ? 'an unsealed record' : `record ${record.position}`;
  if (!sameHash(leafHash(record.bytes), record.leafHash)) {
    const message = `the bytes of ${name} do not have its leaf hash`;
    findings.add({ kind: 'edited', position: record.position, count: 1, message });
    return;
  }
  const differing = record.shown ? firstDifference(record.bytes, record.shown) : null;
  if (differing !== null) {
    const message = `${differing === '' ? 'the bytes' : `"${differing}"`} of ${name} and the values shown beside them differ`;
    findings.add({ kind: 'edited', position: record.position, count: 1, message });
  }
}

/** The first member that is shown otherwise than it was hashed; empty where the bytes are no JSON object. */
function firstDifference(bytes: Uint8Array, shown: Readonly<Record<string, JsonValue>>): string | null {
  let hashed: Readonly<Record<string, JsonValue>>;
  try {
    hashed = JSON.parse(Buffer.from(bytes).toString('utf8')) as Readonly<Record<string, JsonValue>>;
    for (const [member, value] of Object.entries(shown)) {
      const original = Object.hasOwn(hashed, member) ? hashed[member] : undefined;
      if (original === undefined || canonicalJson(original) !== canonicalJson(value)) return member;
    }
    return null;
  } catch {
    return '';
  }
}
