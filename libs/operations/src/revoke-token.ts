import { notFoundError, type Token } from '@fettle/contracts';
import { findPrincipalById, findToken, revokeTokenRow } from '@fettle/database';
import type { OperationContext } from './context.js';
import { tokenView } from './principal-view.js';
import { recordRightsAudit } from './record-audit.js';
import { requireUnnarrowed } from './require-unnarrowed.js';

/** Revokes a token for good; revoking it again changes nothing. @throws FettleError `not-found`, `denied`. */
export async function revokeToken(context: OperationContext, id: string): Promise<Token> {
  const { transaction } = context;
  const token = await findToken(transaction, id);
  if (!token) throw notFoundError('token', id, { remedy: 'See `fettle token list`.' });
  const principal = await findPrincipalById(transaction, token.principalId);
  for (const binding of principal?.bindings ?? []) requireUnnarrowed(context, 'token:write', binding.space);
  if (token.revokedAt) return tokenView(token);
  await revokeTokenRow(transaction, id);
  await recordRightsAudit(context, principal?.bindings ?? [], {
    action: 'token.revoke',
    object: { kind: 'token', name: token.name, id },
    detail: () => ({ principal: token.principal }),
  });
  return tokenView((await findToken(transaction, id)) ?? token);
}
