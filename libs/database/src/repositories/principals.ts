import type { Role } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';

export interface StoredBinding {
  readonly role: Role;
  readonly space: string;
  readonly selector: string | null;
}

export interface StoredPrincipal {
  readonly id: string;
  readonly name: string;
  readonly kind: 'person' | 'service';
  readonly createdAt: Date;
  readonly revokedAt: Date | null;
  readonly bindings: readonly StoredBinding[];
}

export interface StoredToken {
  readonly id: string;
  readonly principalId: string;
  readonly principal: string;
  readonly name: string;
  readonly createdAt: Date;
  readonly expiresAt: Date | null;
  readonly lastUsedAt: Date | null;
  readonly revokedAt: Date | null;
}

const principalColumns = `p.id, p.name, p.kind, p.created_at AS "createdAt", p.revoked_at AS "revokedAt",
  coalesce((SELECT jsonb_agg(jsonb_build_object('role', b.role, 'space', b.space, 'selector', b.selector) ORDER BY b.id)
    FROM role_binding b WHERE b.principal_id = p.id), '[]') AS bindings`;

export async function insertPrincipal(
  transaction: Transaction,
  principal: { readonly id: string; readonly name: string; readonly kind: 'person' | 'service' },
): Promise<void> {
  await transaction.query(`INSERT INTO principal (id, name, kind) VALUES ($1, $2, $3)`, [
    principal.id,
    principal.name,
    principal.kind,
  ]);
}

/** A binding that is there already stays as it is. */
export async function insertBinding(
  transaction: Transaction,
  binding: StoredBinding & { readonly id: string; readonly principalId: string },
): Promise<void> {
  await transaction.query(
    `INSERT INTO role_binding (id, principal_id, role, space, selector) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
    [binding.id, binding.principalId, binding.role, binding.space, binding.selector],
  );
}

export async function findPrincipal(transaction: Transaction, name: string): Promise<StoredPrincipal | null> {
  const rows: StoredPrincipal[] = await transaction.query(
    `SELECT ${principalColumns} FROM principal p WHERE p.name = $1`,
    [name],
  );
  return rows[0] ?? null;
}

export async function findPrincipalById(transaction: Transaction, id: string): Promise<StoredPrincipal | null> {
  const rows: StoredPrincipal[] = await transaction.query(
    `SELECT ${principalColumns} FROM principal p WHERE p.id = $1`,
    [id],
  );
  return rows[0] ?? null;
}

/** Principals with a binding in the space, by name, after the name given. */
export async function listPrincipalRows(
  transaction: Transaction,
  query: { readonly space: string; readonly after: string | null; readonly limit: number },
): Promise<StoredPrincipal[]> {
  return transaction.query(
    `SELECT ${principalColumns} FROM principal p
     WHERE EXISTS (SELECT 1 FROM role_binding b WHERE b.principal_id = p.id AND b.space = $1)
       AND ($2::text IS NULL OR p.name > $2)
     ORDER BY p.name LIMIT $3`,
    [query.space, query.after, query.limit],
  );
}

/** Revokes the principal and its tokens; what is revoked already keeps its time. */
export async function revokePrincipalRow(transaction: Transaction, id: string): Promise<void> {
  await transaction.query(`UPDATE principal SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1`, [id]);
  await transaction.query(`UPDATE api_token SET revoked_at = coalesce(revoked_at, now()) WHERE principal_id = $1`, [
    id,
  ]);
}

/** How many principals that are not revoked hold the role in the space without a selector, this one left out. */
export async function countOtherHolders(
  transaction: Transaction,
  query: { readonly role: Role; readonly space: string; readonly exceptPrincipalId: string },
): Promise<number> {
  const rows: { count: number }[] = await transaction.query(
    `SELECT count(DISTINCT p.id) AS count FROM principal p JOIN role_binding b ON b.principal_id = p.id
     WHERE b.role = $1 AND b.space = $2 AND b.selector IS NULL AND p.revoked_at IS NULL AND p.id <> $3`,
    [query.role, query.space, query.exceptPrincipalId],
  );
  return rows[0]?.count ?? 0;
}

const tokenColumns = `t.id, t.principal_id AS "principalId", p.name AS principal, t.name, t.created_at AS "createdAt",
  t.expires_at AS "expiresAt", t.last_used_at AS "lastUsedAt", t.revoked_at AS "revokedAt"`;

export async function insertToken(
  transaction: Transaction,
  token: {
    readonly id: string;
    readonly principalId: string;
    readonly name: string;
    readonly hash: Uint8Array;
    readonly expiresAt: Date | null;
  },
): Promise<void> {
  await transaction.query(
    `INSERT INTO api_token (id, principal_id, name, hash, expires_at) VALUES ($1, $2, $3, $4, $5)`,
    [token.id, token.principalId, token.name, Buffer.from(token.hash), token.expiresAt],
  );
}

export async function findToken(
  transaction: Transaction,
  id: string,
): Promise<(StoredToken & { readonly hash: Buffer; readonly principalRevokedAt: Date | null }) | null> {
  const rows: (StoredToken & { hash: Buffer; principalRevokedAt: Date | null })[] = await transaction.query(
    `SELECT ${tokenColumns}, t.hash, p.revoked_at AS "principalRevokedAt"
     FROM api_token t JOIN principal p ON p.id = t.principal_id WHERE t.id = $1`,
    [id],
  );
  return rows[0] ?? null;
}

/** Tokens of principals with a binding in the space, newest first; `before` is the id of the last token seen. */
export async function listTokenRows(
  transaction: Transaction,
  query: {
    readonly space: string;
    readonly principal: string | null;
    readonly before: string | null;
    readonly limit: number;
  },
): Promise<StoredToken[]> {
  return transaction.query(
    `SELECT ${tokenColumns} FROM api_token t JOIN principal p ON p.id = t.principal_id
     WHERE EXISTS (SELECT 1 FROM role_binding b WHERE b.principal_id = p.id AND b.space = $1)
       AND ($2::text IS NULL OR p.name = $2) AND ($3::text IS NULL OR t.id < $3)
     ORDER BY t.id DESC LIMIT $4`,
    [query.space, query.principal, query.before, query.limit],
  );
}

export async function revokeTokenRow(transaction: Transaction, id: string): Promise<void> {
  await transaction.query(`UPDATE api_token SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1`, [id]);
}

/** Notes a use, at most once a minute, so that signing in does not write each time. */
export async function touchToken(transaction: Transaction, id: string): Promise<void> {
  await transaction.query(
    `UPDATE api_token SET last_used_at = now()
     WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')`,
    [id],
  );
}

/** Changes to principals, bindings and tokens are rare: one at a time, so that "the last admin" cannot change in between. */
const principalsLock = 7_070_010;

export async function lockPrincipals(transaction: Transaction): Promise<void> {
  await transaction.query(`SELECT pg_advisory_xact_lock($1)`, [principalsLock]);
}
