import type { ListTokensQuery, Page, Token } from '@fettle/contracts';
import { listTokenRows, type Transaction } from '@fettle/database';
import { decodeCursor, pageFrom } from './cursor.js';
import { tokenView } from './principal-view.js';

/** Tokens of principals with a role in the space, newest first, revoked and expired ones included; never their text or hash. */
export async function listTokens(transaction: Transaction, query: ListTokensQuery): Promise<Page<Token>> {
  const before = decodeCursor(query.after, ['uuid']);
  const rows = await listTokenRows(transaction, {
    space: query.space,
    principal: query.principal ?? null,
    before: before?.[0] ?? null,
    limit: query.limit + 1,
  });
  return pageFrom(rows, query.limit, tokenView, (row) => [row.id]);
}
