import type { Transaction } from '../data-source.js';

/** A record with its place in the log; null: the sealer has not reached it. */
export interface PlacedRecord {
  readonly id: string;
  readonly at: Date;
  readonly space: string | null;
  readonly action: string;
  readonly position: number | null;
  readonly canonical: Buffer;
  /** As the tree has it; of an unsealed record, as it was written. */
  readonly leafHash: Buffer;
}

export interface StoredTree {
  readonly size: number;
  readonly frontier: readonly Buffer[];
}

export interface StoredCheckpoint {
  readonly size: number;
  readonly note: string;
  readonly at: Date;
}

export interface AuditFilter {
  /** Records of this space, and those that concern all spaces (`*`). */
  readonly space: string;
  /** What it begins with. */
  readonly action: string | null;
  readonly objectKind: string | null;
  readonly objectName: string | null;
  readonly principal: string | null;
  readonly from: Date | null;
  readonly to: Date | null;
  /** Id of the last record seen. */
  readonly before: string | null;
  readonly limit: number;
}

const placedColumns = `r.id, r.at, r.space, r.action, l.position, r.canonical, coalesce(l.leaf_hash, r.leaf_hash) AS "leafHash"`;

/** Newest first. The time filters go over the key too, so that partitions outside of them are not read. */
export async function listAuditRows(transaction: Transaction, filter: AuditFilter): Promise<PlacedRecord[]> {
  return transaction.query(
    `SELECT ${placedColumns} FROM audit_record r LEFT JOIN audit_leaf l ON l.record_id = r.id
     WHERE r.space IN ($1, '*')
       AND ($2::text IS NULL OR r.object_kind = $2) AND ($3::text IS NULL OR r.object_name = $3)
       AND ($4::text IS NULL OR r.principal = $4)
       AND ($5::timestamptz IS NULL OR r.at >= $5) AND ($6::timestamptz IS NULL OR r.at < $6)
       AND ($7::uuid IS NULL OR r.id < $7) AND ($9::text IS NULL OR starts_with(r.action, $9))
     ORDER BY r.id DESC LIMIT $8`,
    [
      filter.space,
      filter.objectKind,
      filter.objectName,
      filter.principal,
      filter.from,
      filter.to,
      filter.before,
      filter.limit,
      filter.action,
    ],
  );
}

/** Sealed records with `from <= position < end`, in order. A position whose record is gone is left out, which verification finds. */
export async function listSealedRecords(
  transaction: Transaction,
  range: { readonly from: number; readonly end: number; readonly limit: number },
): Promise<PlacedRecord[]> {
  return transaction.query(
    `SELECT ${placedColumns} FROM audit_leaf l JOIN audit_record r ON r.id = l.record_id
     WHERE l.position >= $1 AND l.position < $2 ORDER BY l.position LIMIT $3`,
    [range.from, range.end, range.limit],
  );
}

/** Records that the tree of `size` leaves does not hold, by id: written, but not sealed when the reader began. */
export async function listUnsealedRecords(
  transaction: Transaction,
  page: { readonly size: number; readonly after: string | null; readonly limit: number },
): Promise<PlacedRecord[]> {
  return transaction.query(
    `SELECT r.id, r.at, r.space, r.action, NULL::bigint AS position, r.canonical, r.leaf_hash AS "leafHash"
     FROM (SELECT record_id FROM audit_unsealed UNION SELECT record_id FROM audit_leaf WHERE position >= $1) AS u
     JOIN audit_record r ON r.id = u.record_id
     WHERE ($2::uuid IS NULL OR r.id > $2) ORDER BY r.id LIMIT $3`,
    [page.size, page.after, page.limit],
  );
}

export async function readAuditTree(
  transaction: Transaction,
  options: { readonly lock?: boolean } = {},
): Promise<StoredTree> {
  const rows: StoredTree[] = await transaction.query(
    `SELECT size, frontier FROM audit_tree ${options.lock ? 'FOR UPDATE' : ''}`,
  );
  return rows[0] ?? { size: 0, frontier: [] };
}

/** The oldest unsealed records by id; one whose record is gone stays unsealed for everybody to see. */
export async function readUnsealedLeaves(
  transaction: Transaction,
  limit: number,
): Promise<{ readonly id: string; readonly leafHash: Buffer }[]> {
  return transaction.query(
    `SELECT u.record_id AS id, r.leaf_hash AS "leafHash" FROM audit_unsealed u JOIN audit_record r ON r.id = u.record_id
     ORDER BY u.record_id LIMIT $1`,
    [limit],
  );
}

/** Gives the records positions from `from` on, in the order given. */
export async function placeLeaves(
  transaction: Transaction,
  from: number,
  leaves: readonly { readonly id: string; readonly leafHash: Buffer }[],
): Promise<void> {
  const ids = leaves.map((leaf) => leaf.id);
  await transaction.query(
    `INSERT INTO audit_leaf (position, record_id, leaf_hash)
     SELECT $1::bigint + n - 1, id, decode(hash, 'hex') FROM unnest($2::uuid[], $3::text[]) WITH ORDINALITY AS leaf (id, hash, n)`,
    [from, ids, leaves.map((leaf) => leaf.leafHash.toString('hex'))],
  );
  await transaction.query(`DELETE FROM audit_unsealed WHERE record_id = ANY ($1::uuid[])`, [ids]);
}

export async function saveAuditTree(transaction: Transaction, tree: StoredTree): Promise<void> {
  await transaction.query(
    `UPDATE audit_tree SET size = $1, frontier = coalesce((SELECT array_agg(decode(h, 'hex') ORDER BY n)
       FROM unnest($2::text[]) WITH ORDINALITY AS hash (h, n)), '{}')`,
    [tree.size, tree.frontier.map((hash) => hash.toString('hex'))],
  );
}

export async function insertCheckpoint(
  transaction: Transaction,
  checkpoint: { readonly size: number; readonly note: string },
): Promise<void> {
  await transaction.query(`INSERT INTO audit_checkpoint (size, note, at) VALUES ($1, $2, now())`, [
    checkpoint.size,
    checkpoint.note,
  ]);
}

/** By size, after the size given. */
export async function listCheckpoints(
  transaction: Transaction,
  page: { readonly after: number; readonly limit: number },
): Promise<StoredCheckpoint[]> {
  return transaction.query(`SELECT size, note, at FROM audit_checkpoint WHERE size > $1 ORDER BY size LIMIT $2`, [
    page.after,
    page.limit,
  ]);
}

/** The one that covers most. */
export async function findNewestCheckpoint(transaction: Transaction): Promise<StoredCheckpoint | null> {
  const rows: StoredCheckpoint[] = await transaction.query(
    `SELECT size, note, at FROM audit_checkpoint ORDER BY size DESC LIMIT 1`,
  );
  return rows[0] ?? null;
}
