import type { AuditExportLine } from '@fettle/contracts';
import {
  findNewestCheckpoint,
  listCheckpoints,
  listSealedRecords,
  listUnsealedRecords,
  readAuditTree,
  type PlacedRecord,
  type StoredCheckpoint,
  type Transaction,
} from '@fettle/database';

const pageRecords = 500;
const hourMs = 3_600_000;

/**
 * The whole log for `fettle audit verify`: sealed records by position, then those not sealed yet, the newest checkpoint with one
 * an hour of the older ones, and one line `end` without which the export is incomplete. Read in pages without a long
 * transaction: the size of the tree at the beginning bounds what counts as sealed, and what is sealed never changes.
 */
export async function* exportAudit(transaction: Transaction): AsyncGenerator<AuditExportLine, void, undefined> {
  // Before the tree: a checkpoint that is already there and covers more than the tree can only mean that the tree was cut. Read
  // later, it could be that of a batch sealed meanwhile.
  const newest = await findNewestCheckpoint(transaction);
  const { size } = await readAuditTree(transaction);
  let sealed = 0;
  for (let from = 0; from < size;) {
    const rows = await listSealedRecords(transaction, { from, end: size, limit: pageRecords });
    for (const row of rows) yield recordLine(row);
    sealed += rows.length;
    // A gap (a deleted record) is passed over here and found by verification.
    from = (rows.at(-1)?.position ?? size) + 1;
  }
  let unsealed = 0;
  for (let after: string | null = null, more = true; more;) {
    const rows: PlacedRecord[] = await listUnsealedRecords(transaction, { size, after, limit: pageRecords });
    for (const row of rows) yield recordLine(row);
    unsealed += rows.length;
    after = rows.at(-1)?.id ?? after;
    more = rows.length === pageRecords;
  }
  yield* exportCheckpoints(transaction, Math.max(size, newest?.size ?? 0));
  yield { type: 'end', sealed, unsealed };
}

/**
 * The newest checkpoint of at most `maxSize` records, and the last one of each hour: each covers all records before it, so a log
 * that seals batches all day does not grow a checkpoint for each.
 */
async function* exportCheckpoints(
  transaction: Transaction,
  maxSize: number,
): AsyncGenerator<AuditExportLine, void, undefined> {
  let last: StoredCheckpoint | null = null;
  for (let after = -1, more = true; more;) {
    const rows = await listCheckpoints(transaction, { after, limit: pageRecords });
    for (const row of rows.filter(({ size }) => size <= maxSize)) {
      if (last !== null && hourOf(last) !== hourOf(row)) yield { type: 'checkpoint', note: last.note };
      last = row;
    }
    after = rows.at(-1)?.size ?? after;
    more = rows.length === pageRecords && after < maxSize;
  }
  if (last !== null) yield { type: 'checkpoint', note: last.note };
}

function hourOf({ at }: StoredCheckpoint): number {
  return Math.floor(at.getTime() / hourMs);
}

function recordLine(row: PlacedRecord): AuditExportLine {
  return {
    type: 'record',
    position: row.position,
    id: row.id,
    canonical: row.canonical.toString('base64'),
    leafHash: row.leafHash.toString('hex'),
    shown: { id: row.id, at: row.at.toISOString(), space: row.space, action: row.action },
  };
}
