// `node deploy/make-secrets.mjs [FOLDER]`: makes the keys and passwords of the production layout, a file each, and keeps those
// that are there. Run it after `npm run build`. FOLDER is deploy/secrets by default.
import { randomBytes } from 'node:crypto';
import { chownSync, chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import {
  createNoteSigner,
  createToken,
  generateEffectTokenKeyText,
  generateSealingKeyLine,
  generateSigningKeyPem,
  loadKeyFile,
  loadOrCreateKeyFile,
} from '@fettle/security';

/** The user that the image's programs run as; they refuse a key that anybody else but root owns or can read. */
const PROGRAM_USER = 1000;

/** Letters and digits only, so that it needs no escaping anywhere: 256 bits. */
const password = () => randomBytes(32).toString('hex');

const keys = {
  'sealing.key': generateSealingKeyLine,
  'token.key': generateEffectTokenKeyText,
  'audit.pem': generateSigningKeyPem,
  'bootstrap.token': () => `${createToken().token}\n`,
};
const passwords = {
  postgres_password: password,
  fettle_database_password: password,
  temporal_database_password: password,
};

/** @param {string} folder made with mode 0700 */
export async function makeSecrets(folder) {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  chmodSync(folder, 0o700);
  for (const [name, generate] of Object.entries({ ...keys, ...passwords })) {
    await loadOrCreateKeyFile(join(folder, name), generate);
  }
  // The API tells the public half and cannot sign. The name of a key is no part of its PEM.
  const { publicKeyPem } = createNoteSigner(await loadKeyFile(join(folder, 'audit.pem')), 'audit');
  writeFileSync(join(folder, 'audit.pub'), publicKeyPem, { mode: 0o644 });
}

/** What Docker needs on top: containers see the files themselves, with owner and mode, whatever their folder's mode. */
function openForContainers(folder) {
  if (process.getuid?.() === 0) {
    for (const name of Object.keys(keys)) chownSync(join(folder, name), PROGRAM_USER, PROGRAM_USER);
  } else if (process.getuid?.() !== PROGRAM_USER) {
    process.stderr.write(`Run as root: chown ${PROGRAM_USER} ${Object.keys(keys).join(' ')}  (in ${folder})\n`);
  }
  // Three users read these: root, Postgres's and Temporal's. The folder keeps everybody else on this machine out.
  for (const name of Object.keys(passwords)) chmodSync(join(folder, name), 0o444);
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const folder = resolve(process.argv[2] ?? fileURLToPath(new URL('./secrets/', import.meta.url)));
  await makeSecrets(folder);
  openForContainers(folder);
  process.stdout.write(`The secrets are in ${folder}. Keep a copy of sealing.key and audit.pem in a safe place.\n`);
}
