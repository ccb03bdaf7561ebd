import { FettleError } from '@fettle/contracts';
import { openCheckpoint } from './checkpoint.js';
import { createNoteVerifier } from './signed-note.js';
import type { LogRecord } from './log-record.js';
import { FindingList, type LogFinding } from './log-findings.js';
import { checkRecord, LogWalk, type KnownRoot } from './log-walk.js';

/** More different checkpoints than this are refused: keep one a day of old ones, each vouches for all records before it. */
export const maxCheckpoints = 1_000_000;

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
  /** Checkpoints read, each once: one that stands both in the database and outside of it is one. */
  readonly checkpointCount: number;
  readonly findings: readonly LogFinding[];
  readonly omittedFindings: number;
}

/**
 * Compares the log with its checkpoints, reading each record once: memory grows with the checkpoints, not with the records.
 *
 * Any edit, deletion, insertion, exchange or truncation among the records that a checkpoint covers is found, provided that the
 * private key and the checkpoints given were out of the attacker's reach. Where hashes cannot tell what was done (an edit with a
 * new leaf hash, a deletion with the rest renumbered), the finding is `checkpoint-mismatch` with the range it lies in. Two
 * records that changed places between two checkpoints near each other are named.
 *
 * Throws FettleError `invalid-key-file` for an unusable key, `limit-exceeded` for more than `maxCheckpoints` different ones.
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
  const seen = new Set<string>();
  let place = 0;
  for await (const note of input.checkpoints) {
    place += 1;
    if (seen.has(note)) continue;
    if (seen.size >= maxCheckpoints) {
      throw new FettleError({
        code: 'limit-exceeded',
        message: `more than ${maxCheckpoints} checkpoints`,
        remedy: 'Leave out old ones: one a day is enough, and the newest covers all records.',
      });
    }
    seen.add(note);
    const opened = openCheckpoint(note, verifier);
    if (opened.ok) {
      const { size, root } = opened.checkpoint;
      known.set(`${size}:${root.toString('base64')}`, { size, root });
    } else {
      findings.add({
        kind: 'bad-signature',
        position: null,
        count: 1,
        message: `checkpoint ${place}: ${opened.reason}`,
      });
    }
  }
  return { known: [...known.values()].sort((left, right) => left.size - right.size), count: seen.size };
}
