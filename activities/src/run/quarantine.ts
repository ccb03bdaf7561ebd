import { quarantineAsset, type Transaction } from '@fettle/database';
import { recordAudit, systemContext } from '@fettle/operations';

/** Takes an asset out of service in the name of the run that found it changed, with its audit record. */
export async function quarantine(
  transaction: Transaction,
  run: { readonly runId: string; readonly space: string },
  assetId: string,
  reason: string,
): Promise<void> {
  const name = await quarantineAsset(transaction, assetId, reason);
  if (name === null) return;
  await recordAudit(systemContext(transaction, run.runId), {
    action: 'asset.quarantine',
    space: run.space,
    object: { kind: 'asset', name, id: assetId },
    detail: { reason, runId: run.runId },
  });
}
