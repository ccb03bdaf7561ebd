import type { Principal, Token } from '@fettle/contracts';
import type { StoredPrincipal, StoredToken } from '@fettle/database';

export function principalView(principal: StoredPrincipal): Principal {
  return {
    id: principal.id,
    name: principal.name,
    kind: principal.kind,
    bindings: principal.bindings.map(({ role, space, selector }) => ({ role, space, selector })),
    createdAt: principal.createdAt.toISOString(),
    revokedAt: principal.revokedAt?.toISOString() ?? null,
  };
}

export function tokenView(token: StoredToken): Token {
  return {
    id: token.id,
    principal: token.principal,
    name: token.name,
    createdAt: token.createdAt.toISOString(),
    expiresAt: token.expiresAt?.toISOString() ?? null,
    lastUsedAt: token.lastUsedAt?.toISOString() ?? null,
    revokedAt: token.revokedAt?.toISOString() ?? null,
  };
}
