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

/** All of them in one statement. */
export async function appendAuditRecords(
  transaction: Transaction,
  records: readonly StoredAuditRecord[],
): Promise<void> {
  if (records.length === 0) return;
  const column = <Key extends keyof StoredAuditRecord>(key: Key): readonly StoredAuditRecord[Key][] =>
    records.map((record) => record[key]);
  const bytes = (key: 'canonical' | 'leafHash'): readonly Buffer[] => records.map((record) => Buffer.from(record[key]));
  await transaction.query(
    `WITH record AS (
       INSERT INTO audit_record (id, at, space, principal, action, object_kind, object_name, canonical, leaf_hash)
       SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bytea[],
         $9::bytea[])
       RETURNING id)
     INSERT INTO audit_unsealed (record_id) SELECT id FROM record`,
    [
      column('id'),
      column('at'),
      column('space'),
      column('principal'),
      column('action'),
      column('objectKind'),
      column('objectName'),
      bytes('canonical'),
      bytes('leafHash'),
    ],
  );
}
