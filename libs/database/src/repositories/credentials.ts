import type { Transaction } from '../data-source.js';

export interface CredentialRow {
  readonly id: string;
  readonly space: string;
  readonly name: string;
  readonly kind: 'ssh-private-key' | 'password' | 'token';
  readonly username: string | null;
  readonly sealed: Buffer;
  readonly keyId: string;
  readonly version: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

const columns = `id, space, name, kind, username, sealed, key_id AS "keyId", version, created_at AS "createdAt", updated_at AS "updatedAt"`;

export async function findCredentialRow(
  transaction: Transaction,
  space: string,
  name: string,
  options: { readonly lock?: boolean } = {},
): Promise<CredentialRow | null> {
  const rows: CredentialRow[] = await transaction.query(
    `SELECT ${columns} FROM credential WHERE space = $1 AND name = $2 ${options.lock ? 'FOR UPDATE' : ''}`,
    [space, name],
  );
  return rows[0] ?? null;
}

const CREDENTIAL_LOCK = 7_070_021;

/** Held to the end of the transaction: a credential that does not exist yet has no row to lock. */
export async function lockCredentialName(transaction: Transaction, space: string, name: string): Promise<void> {
  await transaction.query(`SELECT pg_advisory_xact_lock($1, hashtext($2))`, [CREDENTIAL_LOCK, `${space}/${name}`]);
}

/** Creates the credential or puts a new version in place of the one before. */
export async function saveCredentialRow(
  transaction: Transaction,
  credential: Omit<CredentialRow, 'createdAt' | 'updatedAt'>,
): Promise<void> {
  await transaction.query(
    `INSERT INTO credential (id, space, name, kind, username, sealed, key_id, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
     ON CONFLICT (space, name) DO UPDATE SET kind = excluded.kind, username = excluded.username, sealed = excluded.sealed,
       key_id = excluded.key_id, version = excluded.version, updated_at = clock_timestamp()`,
    [
      credential.id,
      credential.space,
      credential.name,
      credential.kind,
      credential.username,
      credential.sealed,
      credential.keyId,
      credential.version,
    ],
  );
}

export async function listCredentialRows(
  transaction: Transaction,
  query: { readonly space: string; readonly after: string | null; readonly limit: number },
): Promise<CredentialRow[]> {
  return transaction.query(
    `SELECT ${columns} FROM credential WHERE space = $1 AND ($2::text IS NULL OR name > $2) ORDER BY name LIMIT $3`,
    [query.space, query.after, query.limit],
  );
}

/** Credentials of all spaces that are sealed with another key than the one given, locked. */
export async function listCredentialsToRotate(
  transaction: Transaction,
  keyId: string,
  limit: number,
): Promise<CredentialRow[]> {
  return transaction.query(`SELECT ${columns} FROM credential WHERE key_id <> $1 ORDER BY id LIMIT $2 FOR UPDATE`, [
    keyId,
    limit,
  ]);
}

/** Puts the same value in place, sealed with another key; the version stays. */
export async function resealCredential(
  transaction: Transaction,
  id: string,
  sealed: Buffer,
  keyId: string,
): Promise<void> {
  await transaction.query(`UPDATE credential SET sealed = $2, key_id = $3 WHERE id = $1`, [id, sealed, keyId]);
}
