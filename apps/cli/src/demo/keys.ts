import { createHash } from 'node:crypto';
import ssh2 from 'ssh2';

/** An Ed25519 key pair in OpenSSH's formats. */
export interface DemoKeyPair {
  /** PEM text, `-----BEGIN OPENSSH PRIVATE KEY-----`. */
  readonly privateKey: string;
  /** One line, `ssh-ed25519 AAAA...`, without a comment. */
  readonly publicKey: string;
}

const maxTries = 20;

/** Makes a key pair; `comment` is stored in the private key only. */
export function generateDemoKeyPair(comment: string): DemoKeyPair {
  for (let tries = 0; tries < maxTries; tries += 1) {
    const pair = ssh2.utils.generateKeyPairSync('ed25519', { comment });
    // ssh2 1.17 drops a leading zero byte, so that about one key in 256 cannot be read again.
    if (ssh2.utils.parseKey(pair.private) instanceof Error || ssh2.utils.parseKey(pair.public) instanceof Error)
      continue;
    return { privateKey: pair.private, publicKey: pair.public.split(' ').slice(0, 2).join(' ') };
  }
  throw new Error(`ssh2 made no readable Ed25519 key in ${maxTries} tries`);
}

/** `SHA256:...` as `ssh-keygen -l` prints it. */
export function keyFingerprint(publicKey: string): string {
  const body = Buffer.from(publicKey.split(' ')[1] ?? '', 'base64');
  return `SHA256:${createHash('sha256').update(body).digest('base64').replace(/=+$/, '')}`;
}
