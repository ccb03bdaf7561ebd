import {
  type FettleError,
  notFoundError,
  type DocumentDetail,
  type DocumentSummary,
  type Page,
  type PageQuery,
} from '@fettle/contracts';
import {
  findDocument,
  listDocumentVersions,
  type DocumentKey,
  type StoredDocument,
  type Transaction,
} from '@fettle/database';
import { decodeCursor, pageFrom } from './cursor.js';
import { documentSummary } from './list-documents.js';

/**
 * A document with its source: the current version, or the one named by its number (`3`) or digest (`sha256:...`).
 * @throws FettleError `not-found`.
 */
export async function getDocument(
  transaction: Transaction,
  key: DocumentKey,
  version?: string,
): Promise<DocumentDetail> {
  const which = version !== undefined && /^\d+$/.test(version) ? Number(version) : version;
  const stored = await findDocument(transaction, key, which);
  if (!stored) throw notFound(key, version);
  return documentDetail(stored);
}

/** All versions, newest first. @throws FettleError `not-found`. */
export async function listVersions(
  transaction: Transaction,
  key: DocumentKey,
  query: Pick<PageQuery, 'after' | 'limit'>,
): Promise<Page<DocumentSummary>> {
  const before = decodeCursor(query.after, ['number']);
  const rows = await listDocumentVersions(transaction, key, { before: before?.[0] ?? null, limit: query.limit + 1 });
  if (rows.length === 0 && !(await findDocument(transaction, key))) throw notFound(key);
  return pageFrom(rows, query.limit, documentSummary, (row) => [row.number]);
}

function documentDetail(stored: StoredDocument): DocumentDetail {
  return { ...documentSummary(stored), source: stored.source, parsed: stored.parsed };
}

function notFound(key: DocumentKey, version?: string): FettleError {
  return notFoundError(key.kind, key.name, {
    space: key.space,
    part: version === undefined ? undefined : `version ${version}`,
    remedy:
      version === undefined
        ? `See \`fettle document list --kind ${key.kind}\`.`
        : `See \`fettle document versions ${key.kind} ${key.name}\`.`,
  });
}
