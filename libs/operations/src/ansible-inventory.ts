import { FettleError } from '@fettle/contracts';
import type { AnsibleInventoryQuery } from '@fettle/contracts';
import { listAssetRows, ASSET_CONDITION_FIRST_PARAMETER } from '@fettle/database';
import { parseSelector } from '@fettle/expression';
import { renderAnsibleInventory, type AnsibleInventoryList } from '@fettle/inventory';
import { assetCondition } from './asset-scope.js';
import type { OperationContext } from './context.js';

/** Ansible reads its inventory as one JSON text; more hosts than this are a sign that a selector is missing. */
export const MAX_INVENTORY_ASSETS = 100_000;

/**
 * The assets that the actor may see, retired ones left out, as Ansible's dynamic inventory.
 * @throws FettleError `invalid-expression`, `too-many-targets`
 */
export async function ansibleInventory(
  context: OperationContext,
  query: AnsibleInventoryQuery,
): Promise<AnsibleInventoryList> {
  const selector = query.on === undefined ? null : parseSelector(query.on, { origin: 'on' });
  const rows = await listAssetRows(context.transaction, {
    space: query.space,
    after: null,
    limit: MAX_INVENTORY_ASSETS + 1,
    retired: false,
    condition: assetCondition(selector, context.scopeOf('asset:read', query.space), ASSET_CONDITION_FIRST_PARAMETER),
  });
  if (rows.length > MAX_INVENTORY_ASSETS) {
    throw new FettleError({
      code: 'too-many-targets',
      message: `The inventory has more than ${MAX_INVENTORY_ASSETS} assets.`,
      remedy: 'Narrow it with --on.',
    });
  }
  return renderAnsibleInventory(
    rows.map((row) => ({
      ...row,
      address: row.endpoint?.address ?? null,
      port: row.endpoint?.port ?? null,
      user: row.endpoint?.username ?? null,
    })),
  );
}
