import { FettleError } from '@fettle/contracts';
import { changeEndpointCredential, type TargetAsset } from '@fettle/database';
import { recordAudit, systemContext } from '@fettle/operations';
import type { TargetContext } from '../implementation.js';
import { withDatabasePatience } from './database-retry.js';
import type { AttemptSecrets } from './secrets.js';
import type { WorkerServices } from './services.js';

/** What lets an action try another credential, and make it the asset's in the name of the run, with its audit record. */
export function credentialChange(
  services: WorkerServices,
  run: { readonly runId: string; readonly space: string },
  asset: Pick<TargetAsset, 'id' | 'name' | 'endpoint'>,
  secrets: AttemptSecrets,
): Pick<TargetContext, 'identity' | 'useCredential'> {
  return {
    identity: async (name) => {
      const { credential, username } = await secrets.forSsh(name);
      const user = asset.endpoint?.username ?? username;
      if (user !== null) return { credential, user };
      throw new FettleError({
        code: 'no-user',
        message: `Neither the endpoint of asset ${asset.name} nor the credential "${name}" names a user.`,
        remedy: `Set one with: fettle asset set ${asset.name} --user USER`,
        detail: { mayHaveStarted: false },
      });
    },
    useCredential: (name) =>
      withDatabasePatience(() =>
        services.dataSource.transaction(async (transaction) => {
          const changed = await changeEndpointCredential(transaction, asset.id, name);
          if (changed === null || changed.before === null) {
            throw new FettleError({
              code: 'no-endpoint',
              message: `Asset ${asset.name} has no SSH endpoint any more.`,
            });
          }
          if (name === null || changed.before === name) return changed.before;
          await recordAudit(systemContext(transaction, run.runId), {
            action: 'asset.use-credential',
            space: run.space,
            object: { kind: 'asset', name: changed.name, id: asset.id },
            detail: { before: changed.before, after: name, runId: run.runId },
          });
          return changed.before;
        }),
      ),
  };
}
