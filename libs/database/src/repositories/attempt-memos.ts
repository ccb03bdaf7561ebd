import type { Transaction } from '../data-source.js';

export interface AttemptMemo {
  readonly value: Readonly<Record<string, unknown>>;
  /** How long ago it was kept, by the clock of the database. */
  readonly ageMs: number;
}

export async function findAttemptMemo(transaction: Transaction, token: string): Promise<AttemptMemo | null> {
  const rows: AttemptMemo[] = await transaction.query(
    `SELECT value, (extract(epoch FROM clock_timestamp() - kept_at) * 1000)::float8 AS "ageMs" FROM attempt_memo WHERE token = $1`,
    [token],
  );
  return rows[0] ?? null;
}

/** Keeps it, unless something is kept under this token already; gives what is kept. */
export async function keepAttemptMemo(
  transaction: Transaction,
  { token, runId, assetId }: { readonly token: string; readonly runId: string; readonly assetId: string },
  value: Readonly<Record<string, unknown>>,
): Promise<AttemptMemo> {
  await transaction.query(
    `INSERT INTO attempt_memo (token, run_id, asset_id, value) VALUES ($1, $2, $3, $4) ON CONFLICT (token) DO NOTHING`,
    [token, runId, assetId, JSON.stringify(value)],
  );
  return (await findAttemptMemo(transaction, token)) ?? { value, ageMs: 0 };
}
