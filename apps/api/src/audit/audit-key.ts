import { FettleError, type AuditKey } from '@fettle/contracts';
import { AUDIT_ORIGIN } from '@fettle/operations';
import { createNoteSigner, loadKeyFile } from '@fettle/security';

/** The public half of the key that signs checkpoints. @throws FettleError `unavailable` where the key file cannot be read. */
export async function readAuditKey(path: string): Promise<AuditKey> {
  let privateKeyPem: string;
  try {
    privateKeyPem = await loadKeyFile(path);
  } catch (cause) {
    throw new FettleError({
      code: 'unavailable',
      message: 'The key that signs audit checkpoints cannot be read by the API.',
      remedy: 'Check the file that FETTLE_AUDIT_KEY_FILE names; it must be readable by its owner only.',
      cause,
    });
  }
  const { publicKeyPem, verifierKey } = createNoteSigner(privateKeyPem, AUDIT_ORIGIN);
  return { origin: AUDIT_ORIGIN, publicKeyPem, verifierKey };
}
