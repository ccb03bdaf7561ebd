import type { ExportDocumentsQuery } from '@fettle/contracts';
import { findDocument, listDocumentRows, type StoredDocumentSummary, type Transaction } from '@fettle/database';

const pageDocuments = 200;

/** The current version of each document as its author wrote it, as texts that together are one YAML source to apply again. */
export async function* exportDocuments(
  transaction: Transaction,
  query: ExportDocumentsQuery,
): AsyncGenerator<string, void, undefined> {
  const { space, kind = null, name } = query;
  let isFirst = true;
  for (let after: { kind: string; name: string } | null = null, more = true; more;) {
    const rows: StoredDocumentSummary[] = await listDocumentRows(transaction, {
      space,
      kind,
      after,
      limit: pageDocuments,
    });
    for (const row of rows) {
      if (name !== undefined && row.name !== name) continue;
      const stored = await findDocument(transaction, row);
      if (!stored) continue;
      yield `${isFirst ? '' : '---\n'}${stored.source}`;
      isFirst = false;
    }
    after = rows.at(-1) ?? null;
    more = rows.length === pageDocuments;
  }
}
