import type { Transaction } from '../data-source.js';

export interface StoredFeed {
  readonly id: string;
  readonly space: string;
  readonly name: string;
  readonly principalId: string;
  /** Name of the principal. */
  readonly owner: string;
  readonly createdAt: Date;
  readonly lastUsedAt: Date | null;
  readonly revokedAt: Date | null;
}

const columns = `f.id, f.space, f.name, f.principal_id AS "principalId", p.name AS owner, f.created_at AS "createdAt",
  f.last_used_at AS "lastUsedAt", f.revoked_at AS "revokedAt"`;

export async function insertFeed(
  transaction: Transaction,
  feed: {
    readonly id: string;
    readonly space: string;
    readonly principalId: string;
    readonly name: string;
    readonly hash: Uint8Array;
  },
): Promise<void> {
  await transaction.query(
    `INSERT INTO schedule_feed (id, space, principal_id, name, hash) VALUES ($1, $2, $3, $4, $5)`,
    [feed.id, feed.space, feed.principalId, feed.name, Buffer.from(feed.hash)],
  );
}

export async function findFeed(
  transaction: Transaction,
  id: string,
): Promise<(StoredFeed & { readonly hash: Buffer }) | null> {
  const rows: (StoredFeed & { hash: Buffer })[] = await transaction.query(
    `SELECT ${columns}, f.hash FROM schedule_feed f JOIN principal p ON p.id = f.principal_id WHERE f.id = $1`,
    [id],
  );
  return rows[0] ?? null;
}

/** Feeds of a space that are not revoked, newest first; of one principal, or of all (null). */
export async function listFeedRows(
  transaction: Transaction,
  query: {
    readonly space: string;
    readonly principalId: string | null;
    readonly before: string | null;
    readonly limit: number;
  },
): Promise<StoredFeed[]> {
  return transaction.query(
    `SELECT ${columns} FROM schedule_feed f JOIN principal p ON p.id = f.principal_id
     WHERE f.space = $1 AND ($2::uuid IS NULL OR f.principal_id = $2) AND ($3::uuid IS NULL OR f.id < $3)
       AND f.revoked_at IS NULL ORDER BY f.id DESC LIMIT $4`,
    [query.space, query.principalId, query.before, query.limit],
  );
}

export async function revokeFeedRow(transaction: Transaction, id: string): Promise<void> {
  await transaction.query(
    `UPDATE schedule_feed SET revoked_at = coalesce(revoked_at, clock_timestamp()) WHERE id = $1`,
    [id],
  );
}

/** Notes the use, at most once a minute. */
export async function touchFeed(transaction: Transaction, id: string): Promise<void> {
  await transaction.query(
    `UPDATE schedule_feed SET last_used_at = clock_timestamp()
     WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute')`,
    [id],
  );
}

/** When the current version of each schedule's document was made, and its number. */
export async function listScheduleVersions(
  transaction: Transaction,
  scheduleIds: readonly string[],
): Promise<ReadonlyMap<string, { readonly number: number; readonly createdAt: Date }>> {
  const rows: { id: string; number: number; createdAt: Date }[] = await transaction.query(
    `SELECT d.id, v.number, v.created_at AS "createdAt" FROM document d JOIN document_version v ON v.id = d.current_version_id
     WHERE d.id = ANY ($1)`,
    [scheduleIds],
  );
  return new Map(rows.map(({ id, number, createdAt }) => [id, { number, createdAt }]));
}
