import type { Asset } from '@fettle/contracts';
import type { OperationContext } from './context.js';
import { requireAsset } from './read-assets.js';
import { setAsset } from './set-asset.js';

/**
 * Takes an asset out of use; it stays in the inventory and is never a target again, until a person sets its lifecycle anew.
 * @throws FettleError `not-found`
 */
export async function retireAsset(
  context: OperationContext,
  key: { readonly space: string; readonly name: string },
  request: { readonly reason?: string | undefined },
): Promise<Asset> {
  // Setting would create what is not there.
  await requireAsset(context, 'asset:write', key);
  return setAsset(context, key, {
    lifecycle: 'retired',
    ...(request.reason === undefined ? {} : { reason: request.reason }),
  });
}
