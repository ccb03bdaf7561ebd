import { findPrincipalById, findToken, touchToken, type StoredBinding, type Transaction } from '@fettle/database';
import { hashToken, parseToken, tokenMatches } from '@fettle/security';
import type { DataSource } from 'typeorm';

/** Who a token speaks for, with all its rights. */
export interface AuthenticatedPrincipal {
  readonly id: string;
  readonly name: string;
  readonly kind: 'person' | 'service';
  readonly bindings: readonly StoredBinding[];
  readonly tokenId: string;
}

interface CachedAnswer {
  readonly principal: AuthenticatedPrincipal;
  readonly validUntilMs: number;
}

/** How long a revoked token may still be taken by another process than the one that revoked it. */
const cacheMs = 5000;
/** Beyond this the oldest answers go: a cache that only forgets costs a query. */
const maxCachedTokens = 10_000;
const minuteMs = 60_000;

/**
 * The principal of an API token, or null where the token is malformed, unknown, expired or revoked, or its principal is.
 * Compares hashes in constant time; notes the use at most once a minute.
 */
export async function authenticate(
  transaction: Transaction,
  tokenText: string,
): Promise<AuthenticatedPrincipal | null> {
  const parsed = parseToken(tokenText);
  if (!parsed) return null;
  const token = await findToken(transaction, parsed.id);
  if (!token || !tokenMatches(tokenText, token.hash)) return null;
  if (token.revokedAt || token.principalRevokedAt) return null;
  if (token.expiresAt && token.expiresAt.getTime() <= Date.now()) return null;
  const principal = await findPrincipalById(transaction, token.principalId);
  if (!principal) return null;
  if (!token.lastUsedAt || Date.now() - token.lastUsedAt.getTime() > minuteMs) await touchToken(transaction, token.id);
  const { id, name, kind, bindings } = principal;
  return { id, name, kind, bindings, tokenId: token.id };
}

/** `authenticate` with its answers kept for `cacheMs`; refusals are not kept. One for each process. */
export class Authenticator {
  readonly #dataSource: DataSource;
  readonly #answers = new Map<string, CachedAnswer>();
  /** Rises with each `clear`: an answer that was looked up before it may be of rights that are gone. */
  #generation = 0;

  constructor(dataSource: DataSource) {
    this.#dataSource = dataSource;
  }

  async authenticate(tokenText: string): Promise<AuthenticatedPrincipal | null> {
    if (!parseToken(tokenText)) return null;
    // The hash as key keeps secrets out of the cache, and a lookup by hash tells nothing about a guess by its time.
    const key = hashToken(tokenText).toString('base64');
    const cached = this.#answers.get(key);
    if (cached && cached.validUntilMs > Date.now()) return cached.principal;
    this.#answers.delete(key);
    const generation = this.#generation;
    const principal = await authenticate(this.#dataSource.manager, tokenText);
    if (principal && generation === this.#generation) this.#keep(key, principal);
    return principal;
  }

  /** Forgets all answers: call it after rights changed, so that this process acts on the change at once. */
  clear(): void {
    this.#generation += 1;
    this.#answers.clear();
  }

  #keep(key: string, principal: AuthenticatedPrincipal): void {
    const oldest = this.#answers.size >= maxCachedTokens ? this.#answers.keys().next().value : undefined;
    if (oldest !== undefined) this.#answers.delete(oldest);
    this.#answers.set(key, { principal, validUntilMs: Date.now() + cacheMs });
  }
}
