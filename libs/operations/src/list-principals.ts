import type { Page, PageQuery, Principal } from '@fettle/contracts';
import { listPrincipalRows, type Transaction } from '@fettle/database';
import { decodeCursor, pageFrom } from './cursor.js';
import { principalView } from './principal-view.js';

/** Principals with a role in the space, by name, revoked ones included. Bindings in other spaces are left out. */
export async function listPrincipals(transaction: Transaction, query: PageQuery): Promise<Page<Principal>> {
  const after = decodeCursor(query.after, ['string']);
  const rows = await listPrincipalRows(transaction, {
    space: query.space,
    after: after?.[0] ?? null,
    limit: query.limit + 1,
  });
  const inSpace = (principal: Principal): Principal => ({
    ...principal,
    bindings: principal.bindings.filter((binding) => binding.space === query.space),
  });
  return pageFrom(
    rows,
    query.limit,
    (row) => inSpace(principalView(row)),
    (row) => [row.name],
  );
}
