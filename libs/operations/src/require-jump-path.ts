import { FettleError, type Endpoint } from '@fettle/contracts';
import { findAssetRow } from '@fettle/database';
import type { OperationContext } from './context.js';
import { requireAsset } from './read-assets.js';

/** Jump hosts on the way to one host. */
export const MAX_JUMP_HOSTS = 3;

/**
 * The way to an asset through jump hosts must end, and not at the asset itself; each of them has an address of its own. Whether
 * their keys are pinned shows when the way is used.
 * @throws FettleError `not-found` for a jump host that the actor may not see, `invalid-request`
 */
export async function requireJumpPath(
  context: OperationContext,
  key: { readonly space: string; readonly name: string },
  endpoint: Pick<Endpoint, 'jump'>,
): Promise<void> {
  const path = [key.name];
  for (let name = endpoint.jump; name !== null;) {
    if (path.includes(name)) throw refused(`The way to "${key.name}" leads back: ${[...path, name].join(' -> ')}.`);
    path.push(name);
    if (path.length - 1 > MAX_JUMP_HOSTS) {
      throw refused(`The way to "${key.name}" has more than ${MAX_JUMP_HOSTS} jump hosts: ${path.join(' -> ')}.`);
    }
    const other = { space: key.space, name };
    const hop =
      path.length === 2
        ? await requireAsset(context, 'asset:read', other)
        : await findAssetRow(context.transaction, key.space, name);
    if (!hop?.endpoint) throw refused(`The jump host "${name}" has no address.`);
    name = hop.endpoint.jump;
  }
}

function refused(message: string): FettleError {
  return new FettleError({
    code: 'invalid-request',
    message,
    remedy: 'Name an asset with an SSH endpoint that is reached without this one.',
  });
}
