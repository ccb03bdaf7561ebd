import { InvalidDocumentError, type CapacityDocument } from '@fettle/contracts';
import { findLimitOwner, saveCapacityLimit, type Transaction } from '@fettle/database';
import type { CheckedDocument } from './check-documents.js';

/** Makes the limit follow its document; runs that wait for the key get what there is now. */
export async function setCapacityLimit(transaction: Transaction, document: CapacityDocument): Promise<void> {
  const { space, name } = document.metadata;
  const { key, limit } = document.spec;
  await saveCapacityLimit(transaction, { space, key, units: limit, document: name });
}

/**
 * One document sets the limit of a key.
 * @throws InvalidDocumentError at the place of `spec.key`.
 */
export async function checkCapacityKey(
  transaction: Transaction,
  { file, places }: CheckedDocument,
  document: CapacityDocument,
): Promise<void> {
  const { space, name } = document.metadata;
  const owner = await findLimitOwner(transaction, space, document.spec.key);
  if (owner === null || owner === name) return;
  const message = `the limit of ${document.spec.key} is set by the Capacity ${owner} of the space ${space} already`;
  const place = places.valueAt(['spec', 'key']);
  throw new InvalidDocumentError(file, [{ code: 'taken-key', severity: 'error', message, path: 'spec.key', ...place }]);
}
