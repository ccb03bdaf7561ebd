import type { SealingKeyring } from '@fettle/security';
import { listCredentialsToRotate, resealCredential } from '@fettle/database';
import type { OperationContext } from './context.js';
import { recordAudit } from './record-audit.js';
import { requireEverywhere } from './require-unnarrowed.js';

/** Credentials in one transaction at most. */
const MAX_ROTATED = 10_000;

/** Seals every credential with the current key that was sealed with an older one; values and versions stay. */
export async function rotateCredentials(
  context: OperationContext,
  keyring: SealingKeyring,
): Promise<{ rotated: number; more: boolean; keyId: string }> {
  await requireEverywhere(context, 'credential:write');
  const rows = await listCredentialsToRotate(context.transaction, keyring.currentKeyId, MAX_ROTATED);
  for (const { id, space, name, version, sealed } of rows) {
    const again = keyring.reseal(sealed, { space, name, version });
    await resealCredential(context.transaction, id, again, keyring.currentKeyId);
  }
  if (rows.length > 0) {
    await recordAudit(context, {
      action: 'credential.rotate',
      space: null,
      object: { kind: 'sealing-key', name: keyring.currentKeyId },
      detail: { rotated: rows.length },
    });
  }
  return { rotated: rows.length, more: rows.length === MAX_ROTATED, keyId: keyring.currentKeyId };
}
