import type { Transaction } from '../data-source.js';
import { updateRows } from '../update-rows.js';

/** A relation from one asset to another, by their ids. */
export interface RelationRow {
  readonly fromId: string;
  readonly kind: string;
  readonly toId: string;
}

/** Returns false where it stood already. */
export async function insertRelation(
  transaction: Transaction,
  { fromId, kind, toId }: RelationRow,
  source: string,
): Promise<boolean> {
  const rows: unknown[] = await transaction.query(
    `INSERT INTO asset_relation (from_id, kind, to_id, source) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING 1`,
    [fromId, kind, toId, source],
  );
  return rows.length > 0;
}

/** Returns false where it did not stand. */
export async function deleteRelation(transaction: Transaction, { fromId, kind, toId }: RelationRow): Promise<boolean> {
  const rows = await updateRows<unknown>(
    transaction,
    `DELETE FROM asset_relation WHERE from_id = $1 AND kind = $2 AND to_id = $3 RETURNING 1`,
    [fromId, kind, toId],
  );
  return rows.length > 0;
}
