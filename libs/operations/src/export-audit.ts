import type { AuditExportLine } from '@fettle/contracts';
import {
  findNewestCheckpoint,
  listCheckpoints,
  listSealedRecords,
  listUnsealedRecords,
  readAuditTree,
  type PlacedRecord,
  type Transaction,
} from '@fettle/database';

const pageRecords = 500;

/**
 * The whole log for `fettle audit verify`: sealed records by position, then those not sealed yet, the checkpoints, and one line
 * `end` without which the export is incomplete. Read in pages without a long transaction: the size of the tree at the beginning
 * bounds what counts as sealed, and what is sealed never changes.
 */
export async function* exportAudit(transaction: Transaction): AsyncGenerator<AuditExportLine, void, undefined> {
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
  yield* exportCheckpoints(transaction, size);
  yield { type: 'end', sealed, unsealed };
}

async function* exportCheckpoints(
  transaction: Transaction,
  size: number,
): AsyncGenerator<AuditExportLine, void, undefined> {
  const newest = await findNewestCheckpoint(transaction);
  // A checkpoint beyond the tree means that the tree was cut: it is given, so that verification says so.
  const tampered = newest !== null && newest.size > size;
  for (let after = -1, more = true; more;) {
    const rows = await listCheckpoints(transaction, { after, limit: pageRecords });
    for (const row of rows) if (row.size <= size || tampered) yield { type: 'checkpoint', note: row.note };
    after = rows.at(-1)?.size ?? after;
    more = rows.length === pageRecords && after < (newest?.size ?? 0);
  }
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
