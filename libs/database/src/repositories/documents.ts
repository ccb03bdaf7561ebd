import type { DocumentKind } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';

export interface DocumentKey {
  readonly space: string;
  readonly kind: DocumentKind;
  readonly name: string;
}

/** A document with one of its versions. */
export interface StoredDocument extends DocumentKey {
  readonly id: string;
  readonly versionId: string;
  readonly version: string;
  readonly number: number;
  readonly source: string;
  readonly parsed: unknown;
  readonly createdBy: string;
  /** When this version was made. */
  readonly createdAt: Date;
}

export type StoredDocumentSummary = Omit<StoredDocument, 'source' | 'parsed'>;

const summaryColumns = `d.id, d.space, d.kind, d.name, v.id AS "versionId", v.digest AS version, v.number,
  v.created_by AS "createdBy", v.created_at AS "createdAt"`;
const columns = `${summaryColumns}, v.source, v.parsed`;

/**
 * Makes sure that the document's row exists and locks it until the transaction ends; a row made here has no version yet.
 * Lock several documents in one order (space, kind, name), so that two callers never wait for each other.
 */
export async function lockDocument(
  transaction: Transaction,
  key: DocumentKey & { readonly newId: string },
): Promise<string> {
  await transaction.query(
    `INSERT INTO document (id, space, kind, name) VALUES ($1, $2, $3, $4) ON CONFLICT (space, kind, name) DO NOTHING`,
    [key.newId, key.space, key.kind, key.name],
  );
  const rows: { id: string }[] = await transaction.query(
    `SELECT id FROM document WHERE space = $1 AND kind = $2 AND name = $3 FOR UPDATE`,
    [key.space, key.kind, key.name],
  );
  return rows[0]?.id ?? key.newId;
}

/** The current version, or the one named by its digest or number. */
export async function findDocument(
  transaction: Transaction,
  key: DocumentKey,
  version?: string | number,
): Promise<StoredDocument | null> {
  const which =
    version === undefined
      ? 'v.id = d.current_version_id'
      : typeof version === 'number'
        ? 'v.number = $4'
        : 'v.digest = $4';
  const rows: StoredDocument[] = await transaction.query(
    `SELECT ${columns} FROM document d JOIN document_version v ON v.document_id = d.id
     WHERE d.space = $1 AND d.kind = $2 AND d.name = $3 AND ${which}
     ORDER BY v.number DESC LIMIT 1`,
    version === undefined ? [key.space, key.kind, key.name] : [key.space, key.kind, key.name, version],
  );
  return rows[0] ?? null;
}

/** Current versions by kind and name, after the pair given. */
export async function listDocumentRows(
  transaction: Transaction,
  query: {
    readonly space: string;
    readonly kind: DocumentKind | null;
    readonly after: { readonly kind: string; readonly name: string } | null;
    readonly limit: number;
  },
): Promise<StoredDocumentSummary[]> {
  return transaction.query(
    `SELECT ${summaryColumns} FROM document d JOIN document_version v ON v.id = d.current_version_id
     WHERE d.space = $1 AND ($2::text IS NULL OR d.kind = $2) AND ($3::text IS NULL OR (d.kind, d.name) > ($3, $4::text))
     ORDER BY d.kind, d.name LIMIT $5`,
    [query.space, query.kind, query.after?.kind ?? null, query.after?.name ?? null, query.limit],
  );
}

/** All versions of a document, newest first; `before` is the number of the last one seen. */
export async function listDocumentVersions(
  transaction: Transaction,
  key: DocumentKey,
  page: { readonly before: number | null; readonly limit: number },
): Promise<StoredDocumentSummary[]> {
  return transaction.query(
    `SELECT ${summaryColumns} FROM document d JOIN document_version v ON v.document_id = d.id
     WHERE d.space = $1 AND d.kind = $2 AND d.name = $3 AND ($4::integer IS NULL OR v.number < $4)
     ORDER BY v.number DESC LIMIT $5`,
    [key.space, key.kind, key.name, page.before, page.limit],
  );
}

/** Adds an immutable version to a locked document and makes it the current one. Returns its number. */
export async function addDocumentVersion(
  transaction: Transaction,
  version: DocumentKey & {
    readonly id: string;
    readonly documentId: string;
    readonly digest: string;
    readonly source: string;
    readonly parsed: unknown;
    readonly createdBy: string;
  },
): Promise<number> {
  const rows: { number: number }[] = await transaction.query(
    `INSERT INTO document_version (id, space, document_id, number, digest, kind, name, source, parsed, created_by)
     SELECT $1, $2, $3, coalesce(max(number), 0) + 1, $4, $5, $6, $7, $8, $9 FROM document_version WHERE document_id = $3
     RETURNING number`,
    [
      version.id,
      version.space,
      version.documentId,
      version.digest,
      version.kind,
      version.name,
      version.source,
      JSON.stringify(version.parsed),
      version.createdBy,
    ],
  );
  await transaction.query(`UPDATE document SET current_version_id = $2, updated_at = now() WHERE id = $1`, [
    version.documentId,
    version.id,
  ]);
  return rows[0]?.number ?? 1;
}

/** What stands in these versions, as it was parsed, by id. */
export async function readParsedVersions(
  transaction: Transaction,
  versionIds: readonly string[],
): Promise<Map<string, unknown>> {
  const rows: { id: string; parsed: unknown }[] = await transaction.query(
    `SELECT id, parsed FROM document_version WHERE id = ANY ($1)`,
    [versionIds],
  );
  return new Map(rows.map(({ id, parsed }) => [id, parsed]));
}
