import { FettleError } from '@fettle/contracts';
import { MAX_JUMPS, type SshJump } from '@fettle/drivers';
import { driverEndpoint } from '../implementation.js';
import type { AttemptSecrets } from './secrets.js';

/**
 * The way to an asset: its jump host, with what that one is reached through, each with its pinned keys and its own credential.
 * @throws FettleError `jump-host-failed`, which names the jump host; nothing was sent to any host
 */
export async function jumpPath(
  asset: { readonly name: string; readonly jump: string | null },
  secrets: AttemptSecrets,
  before: readonly string[] = [],
): Promise<SshJump | undefined> {
  const { jump: name } = asset;
  if (name === null) return undefined;
  const way = [...before, asset.name];
  const fail = (what: string, remedy: string, cause?: unknown): never => {
    throw new FettleError({
      code: 'jump-host-failed',
      message: `${way[0]}: through jump host ${name}: ${what}`,
      remedy,
      detail: { hop: name, mayHaveStarted: false },
      cause,
    });
  };
  if (way.includes(name)) fail(`the way leads back: ${[...way, name].join(' -> ')}`, 'Give one of them another way.');
  if (way.length > MAX_JUMPS) fail(`the way has more than ${MAX_JUMPS} jump hosts`, 'Give the host a shorter way.');
  const host = await secrets.jumpHost(name);
  if (!host || host.lifecycle === 'retired') return fail('there is no such asset', `See: fettle asset show ${name}`);
  const { endpoint, quarantineReason } = host;
  if (quarantineReason !== null)
    fail(`it is quarantined: ${quarantineReason}`, `Look into it: fettle asset enrol ${name}`);
  if (!endpoint) return fail('it has no SSH endpoint', `Set one with: fettle asset set ${name} --address HOST`);
  if (endpoint.credential === null) {
    return fail('its SSH endpoint names no credential', `Set one with: fettle asset set ${name} --credential NAME`);
  }
  const identity = await secrets
    .forSsh(endpoint.credential)
    .catch((error: unknown) =>
      fail(error instanceof Error ? error.message : String(error), 'Mend its credential.', error),
    );
  const user = endpoint.username ?? identity.username;
  if (user === null) return fail('nothing names a user for it', `Set one with: fettle asset set ${name} --user USER`);
  const jump = await jumpPath({ name, jump: endpoint.jump }, secrets, way);
  return { name, endpoint: driverEndpoint(endpoint, user, jump), credential: identity.credential };
}
