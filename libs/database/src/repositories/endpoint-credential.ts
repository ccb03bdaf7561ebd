import type { Transaction } from '../data-source.js';

/**
 * Makes a credential that of the asset's SSH endpoint, as if a person had set it, so that no import puts the old one back; null
 * changes nothing.
 * @returns the name and the credential that it had before; null where the asset has no such endpoint
 */
export async function changeEndpointCredential(
  transaction: Transaction,
  assetId: string,
  credential: string | null,
): Promise<{ readonly name: string; readonly before: string | null } | null> {
  const rows: { name: string; before: string | null }[] = await transaction.query(
    `SELECT a.name, e.credential AS before FROM endpoint e JOIN asset a ON a.id = e.asset_id
     WHERE e.asset_id = $1 AND e.transport = 'ssh' FOR UPDATE`,
    [assetId],
  );
  const [found] = rows;
  if (found === undefined) return null;
  if (credential === null || found.before === credential) return found;
  await transaction.query(
    `UPDATE endpoint SET credential = $2, updated_at = clock_timestamp() WHERE asset_id = $1 AND transport = 'ssh'`,
    [assetId, credential],
  );
  await transaction.query(
    `UPDATE asset SET sources = sources || '{"endpoint.credential": "person"}', updated_at = clock_timestamp() WHERE id = $1`,
    [assetId],
  );
  return found;
}
