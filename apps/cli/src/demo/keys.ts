import { createHash } from 'node:crypto';
import ssh2 from 'ssh2';

/** An Ed25519 key pair in OpenSSH's formats. */
export interface DemoKeyPair {
  /** PEM text, `-----BEGIN OPENSSH PRIVATE KEY-----`. */
  readonly privateKey: string;
  /** One line, `ssh-ed25519 AAAA...`, without a comment. */
  readonly publicKey: string;
}

/** Makes a key pair; `comment` is stored in the private key only. */
export function generateDemoKeyPair(comment: string): DemoKeyPair {
  const pair = ssh2.utils.generateKeyPairSync('ed25519', { comment });
  return { privateKey: pair.private, publicKey: pair.public.split(' ').slice(0, 2).join(' ') };
}

/** `SHA256:...` as `ssh-keygen -l` prints it. */
export function keyFingerprint(publicKey: string): string {
  const body = Buffer.from(publicKey.split(' ')[1] ?? '', 'base64');
  return `SHA256:${createHash('sha256').update(body).digest('base64').replace(/=+$/, '')}`;
}
