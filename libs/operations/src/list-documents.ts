import type { DocumentSummary, ListDocumentsQuery, Page } from '@fettle/contracts';
import { listDocumentRows, type StoredDocumentSummary, type Transaction } from '@fettle/database';
import { decodeCursor, pageFrom } from './cursor.js';

export function documentSummary(row: StoredDocumentSummary): DocumentSummary {
  const { kind, space, name, version, number, createdAt } = row;
  return { kind, space, name, version, number, updatedAt: createdAt.toISOString() };
}

/** Current versions by kind and name. */
export async function listDocuments(
  transaction: Transaction,
  query: ListDocumentsQuery,
): Promise<Page<DocumentSummary>> {
  const after = decodeCursor(query.after, ['string', 'string']);
  const rows = await listDocumentRows(transaction, {
    space: query.space,
    kind: query.kind ?? null,
    after: after ? { kind: after[0], name: after[1] } : null,
    limit: query.limit + 1,
  });
  return pageFrom(rows, query.limit, documentSummary, (row) => [row.kind, row.name]);
}
