import { FettleError, notFoundError, type Principal } from '@fettle/contracts';
import { countOtherHolders, findPrincipal, lockPrincipals, revokePrincipalRow } from '@fettle/database';
import type { OperationContext } from './context.js';
import { principalView } from './principal-view.js';
import { recordRightsAudit } from './record-audit.js';
import { requireUnnarrowed } from './require-unnarrowed.js';

/**
 * Revokes a principal and all its tokens for good; revoking it again changes nothing. The actor needs `principal:write` in every
 * space where the principal has a role.
 * @throws FettleError `not-found`, `denied`, `conflict` (the last admin of a space).
 */
export async function revokePrincipal(context: OperationContext, name: string): Promise<Principal> {
  const { transaction } = context;
  await lockPrincipals(transaction);
  const principal = await findPrincipal(transaction, name);
  if (!principal) throw notFoundError('principal', name, { remedy: 'See `fettle principal list`.' });
  for (const binding of principal.bindings) requireUnnarrowed(context, 'principal:write', binding.space);
  if (principal.revokedAt) return principalView(principal);
  for (const { role, space, selector } of principal.bindings) {
    if (role !== 'admin' || selector !== null) continue;
    const others = await countOtherHolders(transaction, { role, space, exceptPrincipalId: principal.id });
    if (others > 0) continue;
    throw new FettleError({
      code: 'conflict',
      message: `${name} is the last admin of the space ${space}: without one, nobody could grant rights there.`,
      remedy: 'Create another admin first.',
    });
  }
  await revokePrincipalRow(transaction, principal.id);
  await recordRightsAudit(context, principal.bindings, {
    action: 'principal.revoke',
    object: { kind: 'principal', name, id: principal.id },
    detail: () => ({}),
  });
  return principalView((await findPrincipal(transaction, name)) ?? principal);
}
