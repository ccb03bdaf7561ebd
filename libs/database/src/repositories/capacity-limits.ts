import { FettleError } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import { updateRows } from '../update-rows.js';
import { lockCapacity, settleCapacity } from './capacity-queue.js';

export interface CapacityLimit {
  readonly space: string;
  readonly key: string;
  readonly units: number;
  /** Name of the document that sets it. */
  readonly document: string;
}

/**
 * Sets the limit that a document gives its key; a key that it gave one before goes back to the default. Those who wait get what
 * there is now. A lower limit takes nothing from anybody: what is held beyond it is given back in time.
 * @throws FettleError `conflict` where another document sets the key's limit
 */
export async function saveCapacityLimit(transaction: Transaction, limit: CapacityLimit): Promise<void> {
  const { space, key, units, document } = limit;
  await lockCapacity(transaction, space);
  const other = await findLimitOwner(transaction, space, key);
  if (other !== null && other !== document) {
    throw new FettleError({
      code: 'conflict',
      message: `The limit of ${key} in space ${space} is set by the Capacity "${other}" already.`,
      remedy: `Change that one, or give it another key first.`,
    });
  }
  const gone = await updateRows<{ key: string }>(
    transaction,
    `DELETE FROM capacity_limit WHERE space = $1 AND document = $2 AND key <> $3 RETURNING key`,
    [space, document, key],
  );
  await transaction.query(
    `INSERT INTO capacity_limit (space, key, units, document) VALUES ($1, $2, $3, $4)
     ON CONFLICT (space, key) DO UPDATE SET units = excluded.units`,
    [space, key, units, document],
  );
  const changed = [key, ...gone.map((row) => row.key)];
  await settleCapacity(transaction, space, await withKeysBeside(transaction, space, changed), null);
}

/** Whoever wants more of a key than it has from now on holds up nobody any more: on the other keys that it wants neither. */
async function withKeysBeside(transaction: Transaction, space: string, changed: readonly string[]): Promise<string[]> {
  const rows: { key: string }[] = await transaction.query(
    `SELECT unnest($2::text[]) AS key
     UNION SELECT beside.key FROM capacity_want w JOIN capacity_request q USING (run_id, path)
       JOIN capacity_want beside USING (run_id, path)
     WHERE w.space = $1 AND w.key = ANY ($2) AND q.granted_at IS NULL`,
    [space, changed],
  );
  return rows.map((row) => row.key);
}

/** Name of the document that sets a key's limit; null: none does. */
export async function findLimitOwner(transaction: Transaction, space: string, key: string): Promise<string | null> {
  const rows: { document: string }[] = await transaction.query(
    `SELECT document FROM capacity_limit WHERE space = $1 AND key = $2`,
    [space, key],
  );
  return rows[0]?.document ?? null;
}
