import { createHash } from 'node:crypto';
import type { ServerHostKeyAlgorithm } from 'ssh2';
import { sshError } from './errors.js';
import type { SshEndpoint } from './types.js';

/** Signature algorithms by key type (RFC 8332: one `ssh-rsa` key serves several); SHA-1 signatures are not offered. */
const algorithmsByType = {
  'ssh-ed25519': ['ssh-ed25519'],
  'ecdsa-sha2-nistp256': ['ecdsa-sha2-nistp256'],
  'ecdsa-sha2-nistp384': ['ecdsa-sha2-nistp384'],
  'ecdsa-sha2-nistp521': ['ecdsa-sha2-nistp521'],
  'ssh-rsa': ['rsa-sha2-512', 'rsa-sha2-256'],
} as const satisfies Record<string, readonly ServerHostKeyAlgorithm[]>;

export type HostKeyType = keyof typeof algorithmsByType;
export const hostKeyTypes = Object.keys(algorithmsByType) as readonly HostKeyType[];

export interface PinnedKey {
  readonly type: HostKeyType;
  readonly blob: Buffer;
}

function isHostKeyType(type: string): type is HostKeyType {
  return Object.hasOwn(algorithmsByType, type);
}

/** Type named inside a public key blob (RFC 4253 section 6.6), or undefined where the blob is malformed. */
export function blobType(blob: Buffer): string | undefined {
  if (blob.length < 4) return undefined;
  const length = blob.readUInt32BE(0);
  return length > 0 && length <= blob.length - 4 ? blob.toString('latin1', 4, 4 + length) : undefined;
}

/** Fingerprint as OpenSSH prints it. */
export function fingerprintSha256(blob: Buffer): string {
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
}

/**
 * Reads the pinned keys of an endpoint. One malformed line refuses the endpoint as a whole: a pin that says nothing must not
 * be passed over in silence.
 * @throws FettleError `host-key-unpinned`
 */
export function parsePinnedKeys(endpoint: SshEndpoint): readonly PinnedKey[] {
  if (endpoint.hostKeys.length === 0) {
    throw sshError(endpoint, {
      code: 'host-key-unpinned',
      what: 'no host key is pinned, so nothing was sent to this host',
      remedy: 'Enrol it: `fettle asset enrol NAME` shows the fingerprints to compare with those on the host.',
      mayHaveStarted: false,
    });
  }
  return endpoint.hostKeys.map((line) => {
    const [type = '', encoded = ''] = line.trim().split(/\s+/);
    const blob = Buffer.from(encoded, 'base64');
    if (!isHostKeyType(type) || blobType(blob) !== type) {
      throw sshError(endpoint, {
        code: 'host-key-unpinned',
        what: `a pinned host key of type ${JSON.stringify(type.slice(0, 40))} cannot be read`,
        remedy: `Enrol the host again; a pinned key is a line "TYPE BASE64" with one of the types ${hostKeyTypes.join(', ')}.`,
        mayHaveStarted: false,
      });
    }
    return { type, blob };
  });
}

export function algorithmsFor(type: HostKeyType): readonly ServerHostKeyAlgorithm[] {
  return algorithmsByType[type];
}

/**
 * Algorithms to offer: those of pinned keys first, since the client's order decides (RFC 4253 section 7.1) and a server with
 * several keys must show the pinned one; the others after them, so that a server which lost the pinned key shows what it has.
 */
export function offeredAlgorithms(pinned: readonly PinnedKey[]): ServerHostKeyAlgorithm[] {
  const types = [...new Set([...pinned.map((key) => key.type), ...hostKeyTypes])];
  return types.flatMap((type) => algorithmsFor(type));
}
