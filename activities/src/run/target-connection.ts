import { FettleError } from '@fettle/contracts';
import type { TargetAsset } from '@fettle/database';
import { driverEndpoint, type TargetContext } from '../implementation.js';
import { jumpPath } from './jump-path.js';
import type { AttemptSecrets } from './secrets.js';

export type TargetEndpoint = NonNullable<TargetAsset['endpoint']> & { readonly credential: string };

/** @throws FettleError `no-endpoint` or `no-credential` */
export function endpointOf({ name, endpoint }: TargetAsset): TargetEndpoint {
  if (!endpoint) {
    throw new FettleError({
      code: 'no-endpoint',
      message: `Asset ${name} has no SSH endpoint.`,
      remedy: `Set one with: fettle asset set ${name} --address HOST --user USER --credential NAME`,
    });
  }
  if (endpoint.credential === null) {
    throw new FettleError({
      code: 'no-credential',
      message: `The SSH endpoint of asset ${name} names no credential.`,
      remedy: `Set one with: fettle asset set ${name} --credential NAME`,
    });
  }
  return { ...endpoint, credential: endpoint.credential };
}

/**
 * How a target is spoken to, with its credential opened.
 * @throws FettleError `no-user`, and as `AttemptSecrets.forSsh` and `jumpPath`
 */
export async function targetConnection(
  asset: TargetAsset,
  endpoint: TargetEndpoint,
  secrets: AttemptSecrets,
): Promise<Pick<TargetContext, 'asset' | 'endpoint' | 'credential'>> {
  const { credential, username } = await secrets.forSsh(endpoint.credential);
  const user = endpoint.username ?? username;
  if (user === null) {
    throw new FettleError({
      code: 'no-user',
      message: `Neither the endpoint of asset ${asset.name} nor its credential names a user.`,
      remedy: `Set one with: fettle asset set ${asset.name} --user USER`,
    });
  }
  const jump = await jumpPath({ name: asset.name, jump: endpoint.jump }, secrets);
  return {
    asset: { id: asset.id, name: asset.name, space: asset.space },
    endpoint: driverEndpoint(endpoint, user, jump),
    credential,
  };
}
