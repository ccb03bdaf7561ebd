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
  await settleCapacity(transaction, space, [key, ...gone.map((row) => row.key)], null);
}

/** Name of the document that sets a key's limit; null: none does. */
export async function findLimitOwner(transaction: Transaction, space: string, key: string): Promise<string | null> {
  const rows: { document: string }[] = await transaction.query(
    `SELECT document FROM capacity_limit WHERE space = $1 AND key = $2`,
    [space, key],
  );
  return rows[0]?.document ?? null;
}
