import { FettleError, notFoundError, type CreatedToken } from '@fettle/contracts';
import type { z } from 'zod';
import type { createTokenRequestSchema } from '@fettle/contracts';
import { findPrincipal, findToken, insertToken, lockPrincipals } from '@fettle/database';
import { createToken as newToken } from '@fettle/security';
import type { OperationContext } from './context.js';
import { tokenView } from './principal-view.js';
import { recordRightsAudit } from './record-audit.js';
import { requireUnnarrowed } from './require-unnarrowed.js';

export type CreateTokenRequest = z.infer<typeof createTokenRequestSchema>;

/**
 * Creates an API token of a principal; its text is in the answer and nowhere else, only its hash is stored. The actor needs
 * `token:write` in every space where the principal has a role: a token is all of the principal's rights.
 * @throws FettleError `not-found`, `denied`, `conflict` (revoked principal), `invalid-request` (expiry in the past).
 */
export async function createToken(context: OperationContext, request: CreateTokenRequest): Promise<CreatedToken> {
  const { transaction } = context;
  await lockPrincipals(transaction);
  const principal = await findPrincipal(transaction, request.principal);
  if (!principal) {
    throw notFoundError('principal', request.principal, { remedy: 'See `fettle principal list`.' });
  }
  for (const binding of principal.bindings) requireUnnarrowed(context, 'token:write', binding.space);
  if (principal.revokedAt) {
    throw new FettleError({ code: 'conflict', message: `The principal ${principal.name} is revoked.` });
  }
  const expiresAt = request.expiresAt === undefined ? null : new Date(request.expiresAt);
  if (expiresAt !== null && expiresAt.getTime() <= Date.now()) {
    throw new FettleError({ code: 'invalid-request', message: `expiresAt is in the past: ${request.expiresAt}` });
  }
  const created = newToken();
  await insertToken(transaction, {
    id: created.id,
    principalId: principal.id,
    name: request.name,
    hash: created.hash,
    expiresAt,
  });
  await recordRightsAudit(context, principal.bindings, {
    action: 'token.create',
    object: { kind: 'token', name: request.name, id: created.id },
    detail: () => ({ principal: principal.name, expiresAt: expiresAt?.toISOString() ?? null }),
  });
  const stored = await findToken(transaction, created.id);
  if (!stored) throw new FettleError({ code: 'not-found', message: 'The token that was created is gone.' });
  return { ...tokenView(stored), token: created.token };
}
