import { readFile } from 'node:fs/promises';
import { FettleError, type AuditKey } from '@fettle/contracts';
import { AUDIT_ORIGIN } from '@fettle/operations';
import { createNoteSigner, createNoteVerifier, loadKeyFile, publishedKey } from '@fettle/security';
import type { ApiSettings } from '../settings.js';

type AuditKeyFiles = Pick<ApiSettings, 'auditKeyFile' | 'auditPublicKeyFile'>;

/**
 * The public half of the key that signs checkpoints: from its own file, so that the API need not be able to sign, or of the
 * private key where no such file is configured. @throws FettleError `unavailable` where the file cannot be read or is no such key.
 */
export async function readAuditKey(files: AuditKeyFiles): Promise<AuditKey> {
  const isPublic = files.auditPublicKeyFile !== undefined;
  try {
    const { publicKeyPem, verifierKey } = await readKey(files);
    return { origin: AUDIT_ORIGIN, publicKeyPem, verifierKey };
  } catch (cause) {
    throw new FettleError({
      code: 'unavailable',
      message: `The ${isPublic ? 'public ' : ''}key of the audit checkpoints cannot be read by the API.`,
      remedy: isPublic
        ? 'Check the file that FETTLE_AUDIT_PUBLIC_KEY_FILE names: an Ed25519 public key in PEM.'
        : 'Check the file that FETTLE_AUDIT_KEY_FILE names; it must be readable by its owner only.',
      cause,
    });
  }
}

async function readKey(files: AuditKeyFiles): Promise<Pick<AuditKey, 'publicKeyPem' | 'verifierKey'>> {
  if (files.auditPublicKeyFile === undefined) {
    return createNoteSigner(await loadKeyFile(files.auditKeyFile), AUDIT_ORIGIN);
  }
  return publishedKey(createNoteVerifier(await readFile(files.auditPublicKeyFile, 'utf8'), AUDIT_ORIGIN));
}
