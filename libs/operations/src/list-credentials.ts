import type { Credential, Page, PageQuery } from '@fettle/contracts';
import { listCredentialRows, type Transaction } from '@fettle/database';
import { decodeCursor, pageFrom } from './cursor.js';
import { credentialView } from './set-credential.js';

export async function listCredentials(transaction: Transaction, query: PageQuery): Promise<Page<Credential>> {
  const after = decodeCursor(query.after, ['string'])?.[0] ?? null;
  const rows = await listCredentialRows(transaction, { space: query.space, after, limit: query.limit + 1 });
  return pageFrom(rows, query.limit, credentialView, (row) => [row.name]);
}
