import type { Transaction } from '../data-source.js';

export interface StoredAuditRecord {
  readonly id: string;
  readonly at: string;
  readonly space: string | null;
  readonly principal: string;
  readonly action: string;
  readonly objectKind: string;
  readonly objectName: string;
  /** RFC 8785 bytes of the whole record. */
  readonly canonical: Uint8Array;
  /** RFC 6962 section 2.1, 32 bytes. */
  readonly leafHash: Uint8Array;
}

export async function appendAuditRecord(transaction: Transaction, record: StoredAuditRecord): Promise<void> {
  await transaction.query(
    `WITH record AS (
       INSERT INTO audit_record (id, at, space, principal, action, object_kind, object_name, canonical, leaf_hash)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id)
     INSERT INTO audit_unsealed (record_id) SELECT id FROM record`,
    [
      record.id,
      record.at,
      record.space,
      record.principal,
      record.action,
      record.objectKind,
      record.objectName,
      Buffer.from(record.canonical),
      Buffer.from(record.leafHash),
    ],
  );
}
