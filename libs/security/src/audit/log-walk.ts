import { canonicalJson, type JsonValue } from './canonical.js';
import { findExchange, maxDiagnosedLeaves } from './log-diagnosis.js';
import { type FindingList, PositionGaps } from './log-findings.js';
import type { LogRecord } from './log-record.js';
import { MerkleFrontier } from './merkle-frontier.js';
import { hashBytes, leafHash, sameHash } from './merkle-hash.js';

/** What a valid checkpoint says. */
export interface KnownRoot {
  readonly size: number;
  readonly root: Buffer;
}

/** So many mismatches are looked into: the first ones say enough, and a log full of them must not take for ever. */
const maxDiagnoses = 2;

/** Follows the sealed records and compares the root with each checkpoint on the way. */
export class LogWalk {
  size = 0;
  /** Size of the largest checkpoint whose root the stored leaf hashes have. */
  matchedSize = 0;
  nextPosition = 0;
  readonly #known: readonly KnownRoot[];
  readonly #findings: FindingList;
  /** Of the stored leaf hashes; after a mismatch that could be explained, of the right ones. */
  #tree = MerkleFrontier.empty();
  /** The tree at the last checkpoint that matched, and the leaves since; null once they are too many to be searched. */
  #matchedTree = MerkleFrontier.empty();
  #leavesSince: Buffer[] | null = [];
  readonly #gaps = new PositionGaps();
  #nextCheckpoint = 0;
  #diagnosesLeft = maxDiagnoses;
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
      if (this.#tree.size === position && record.leafHash.byteLength === hashBytes) this.#append(record.leafHash);
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
      if (sameHash(this.#tree.root(), next.root) || this.#explained(next)) {
        this.#endMismatch();
        this.matchedSize = next.size;
        this.#matchedTree = this.#tree.clone();
        this.#leavesSince = [];
      } else if (this.#mismatch) {
        this.#mismatch.count += 1;
      } else {
        this.#mismatch = { from: this.matchedSize, to: next.size, count: 1 };
      }
    }
  }

  #append(leaf: Uint8Array): void {
    this.#tree.append(leaf);
    this.#leavesSince?.push(Buffer.from(leaf));
    if (this.#leavesSince && this.#leavesSince.length > maxDiagnosedLeaves) this.#leavesSince = null;
  }

  /** Tries to explain a root that does not match; if it can, what follows is compared as if the records were in their places. */
  #explained({ root }: KnownRoot): boolean {
    if (!this.#leavesSince || this.#diagnosesLeft === 0) return false;
    this.#diagnosesLeft -= 1;
    const exchange = findExchange(this.#matchedTree, this.#leavesSince, root);
    if (!exchange) return false;
    const [first, second] = [this.matchedSize + exchange.first, this.matchedSize + exchange.second];
    const message = `records ${first} and ${second} have changed places`;
    this.#findings.add({ kind: 'reordered', position: first, count: second - first + 1, message });
    this.#tree = exchange.mended;
    return true;
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
export function checkRecord(record: LogRecord, findings: FindingList): void {
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
