import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { KEY_FILE_NAMES } from '@fettle/config';
import {
  createToken,
  generateEffectTokenKeyText,
  generateSealingKeyLine,
  generateSigningKeyPem,
  loadOrCreateKeyFile,
} from '@fettle/security';
import type { DataDir } from './data-dir.js';

export interface LocalSecrets {
  /** Signs in as `local-admin`. */
  readonly token: string;
  /** Of the embedded database's owner. */
  readonly databasePassword: string;
  readonly sealingKeyFile: string;
  readonly tokenKeyFile: string;
  readonly auditKeyFile: string;
}

/** Makes on the first start, and reads on later ones, the secrets of a local stack: a file each, for the owner only. */
export async function ensureSecrets(dataDir: DataDir): Promise<LocalSecrets> {
  const sealingKeyFile = join(dataDir.keys, KEY_FILE_NAMES.sealing);
  const tokenKeyFile = join(dataDir.keys, KEY_FILE_NAMES.token);
  const auditKeyFile = join(dataDir.keys, KEY_FILE_NAMES.audit);
  await loadOrCreateKeyFile(sealingKeyFile, generateSealingKeyLine);
  await loadOrCreateKeyFile(tokenKeyFile, generateEffectTokenKeyText);
  await loadOrCreateKeyFile(auditKeyFile, generateSigningKeyPem);
  const token = await loadOrCreateKeyFile(dataDir.tokenFile, () => `${createToken().token}\n`);
  const password = await loadOrCreateKeyFile(join(dataDir.keys, 'postgres.password'), () =>
    randomBytes(32).toString('hex'),
  );
  return { token: token.trim(), databasePassword: password.trim(), sealingKeyFile, tokenKeyFile, auditKeyFile };
}
