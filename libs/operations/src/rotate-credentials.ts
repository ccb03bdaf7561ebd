import { FettleError } from '@fettle/contracts';
import type { SealingKeyring } from '@fettle/security';
import { listCredentialsToRotate, resealCredential, type CredentialRow } from '@fettle/database';
import type { OperationContext } from './context.js';
import { recordAudit } from './record-audit.js';
import { requireEverywhere } from './require-unnarrowed.js';

/** Credentials in one transaction at most. */
const MAX_ROTATED = 10_000;

/**
 * Seals every credential with the current key that was sealed with an older one; values and versions stay.
 * @throws FettleError `conflict` where one cannot be opened; then none is changed.
 */
export async function rotateCredentials(
  context: OperationContext,
  keyring: SealingKeyring,
): Promise<{ rotated: number; more: boolean; keyId: string }> {
  await requireEverywhere(context, 'credential:write');
  const rows = await listCredentialsToRotate(context.transaction, keyring.currentKeyId, MAX_ROTATED);
  for (const row of rows) {
    await resealCredential(context.transaction, row.id, reseal(keyring, row), keyring.currentKeyId);
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

function reseal(keyring: SealingKeyring, { space, name, version, sealed, keyId }: CredentialRow): Buffer {
  try {
    return keyring.reseal(sealed, { space, name, version });
  } catch (cause) {
    throw new FettleError({
      code: 'conflict',
      message: `The credential "${name}" in space "${space}" cannot be opened with the keys in the key file; none was rotated.`,
      remedy: `Put the key "${keyId}" back into the key file, or set the credential anew: fettle credential set ${name}`,
      cause,
    });
  }
}
