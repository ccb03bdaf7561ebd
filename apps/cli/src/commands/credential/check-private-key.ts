import { FettleError } from '@fettle/contracts';
import ssh2 from 'ssh2';

/**
 * Refuses what the workers could not sign in with, before it is sealed and shows only when a run fails. The same parser reads
 * the key there.
 * @throws FettleError `invalid-credential`; it never quotes the key
 */
export function checkPrivateKey(text: string): void {
  const key = ssh2.utils.parseKey(text);
  if (!(key instanceof Error)) {
    if (key.isPrivateKey()) return;
    throw invalid(
      'This is a public key; to sign in, the private one is needed.',
      'Give the file without .pub, with --from-file.',
    );
  }
  if (/encrypted|passphrase/i.test(key.message)) {
    throw invalid(
      'The private key is encrypted with a passphrase, and Fettle keeps keys without one (it seals them itself).',
      'Store a copy without passphrase, and remove it afterwards: cp KEY COPY; ssh-keygen -p -N "" -f COPY',
    );
  }
  throw invalid(
    `This is no private key that SSH can use: ${key.message}.`,
    'Give the whole file in OpenSSH or PEM format with --from-file; `ssh-keygen -t ed25519` makes one.',
  );
}

function invalid(message: string, remedy: string): FettleError {
  return new FettleError({ code: 'invalid-credential', message, remedy });
}
