import type { AuditRecordView, ListAuditQuery, Page } from '@fettle/contracts';
import { listAuditRows, type PlacedRecord, type Transaction } from '@fettle/database';
import { parseAuditRecord, type AuditRecord } from '@fettle/security';
import { decodeCursor, pageFrom } from './cursor.js';

/**
 * Audit records of the space, newest first. What is shown is read from the hashed bytes, not from the columns beside them; a
 * record whose bytes cannot be read any more is shown as action `audit.unreadable`.
 */
export async function listAudit(transaction: Transaction, query: ListAuditQuery): Promise<Page<AuditRecordView>> {
  const before = decodeCursor(query.after, ['uuid']);
  const rows = await listAuditRows(transaction, {
    space: query.space,
    action: query.action ?? null,
    objectKind: query.objectKind ?? null,
    objectName: query.objectName ?? null,
    principal: query.principal ?? null,
    from: query.from === undefined ? null : new Date(query.from),
    to: query.to === undefined ? null : new Date(query.to),
    before: before?.[0] ?? null,
    limit: query.limit + 1,
  });
  return pageFrom(rows, query.limit, recordView, (row) => [row.id]);
}

function recordView(row: PlacedRecord): AuditRecordView {
  const record = readable(row.canonical);
  if (!record) {
    const object = { kind: 'audit-record', name: row.id };
    const detail = { remedy: 'Run `fettle audit verify`: the stored bytes of this record were changed.' };
    const { id, position, space } = row;
    return {
      id,
      at: row.at.toISOString(),
      position,
      space,
      principal: 'unknown',
      action: 'audit.unreadable',
      object,
      detail,
    };
  }
  return {
    id: row.id,
    at: record.at,
    position: row.position,
    space: record.space,
    principal: record.principal?.name ?? 'system',
    action: record.action,
    object: { kind: record.object.kind, name: record.object.name },
    detail: { ...record.detail, outcome: record.outcome, requestId: record.requestId },
  };
}

function readable(bytes: Uint8Array): AuditRecord | null {
  try {
    return parseAuditRecord(bytes);
  } catch {
    return null;
  }
}
