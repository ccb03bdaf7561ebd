import { connect as connectSocket } from 'node:net';
import ssh2 from 'ssh2';
import { errorText, sshError } from './errors.js';
import { algorithmsFor, blobType, fingerprintSha256, hostKeyTypes, type HostKeyType } from './host-keys.js';
import type { ScannedHostKey } from './types.js';

interface Attempt {
  readonly key?: ScannedHostKey;
  readonly problem?: string;
}

/** Offers one type of key only, notes the key that comes and refuses it: the exchange ends before authentication. */
function scanType(host: string, port: number, type: HostKeyType, timeoutMs: number): Promise<Attempt> {
  return new Promise((resolve) => {
    const client = new ssh2.Client();
    const socket = connectSocket({ host, port });
    socket.setNoDelay(true);
    let attempt: Attempt = { problem: 'the host closed the connection before showing a key' };
    const timer = setTimeout(() => {
      attempt = { problem: `no key within ${timeoutMs} ms` };
      socket.destroy();
    }, timeoutMs);
    socket.once('close', () => {
      clearTimeout(timer);
      resolve(attempt);
    });
    client.on('error', (error) => {
      if (attempt.key === undefined) attempt = { problem: errorText(error) };
      socket.destroy();
    });
    client.connect({
      sock: socket,
      username: 'nobody',
      readyTimeout: 0,
      algorithms: { serverHostKey: [...algorithmsFor(type)] },
      hostVerifier: (blob: Buffer): boolean => {
        if (blobType(blob) === type) {
          const key = `${type} ${blob.toString('base64')}`;
          attempt = { key: { type, key, fingerprintSha256: fingerprintSha256(blob) } };
        }
        return false;
      },
    });
  });
}

/**
 * Host keys of all types that the host shows, for a person to compare and pin (`fettle asset enrol`).
 * @throws FettleError `host-unreachable` where it shows none
 */
export async function scanHostKeys(
  host: string,
  port: number,
  options: { readonly timeoutMs: number },
): Promise<readonly ScannedHostKey[]> {
  const attempts = await Promise.all(hostKeyTypes.map((type) => scanType(host, port, type, options.timeoutMs)));
  const keys = attempts.flatMap((attempt) => (attempt.key === undefined ? [] : [attempt.key]));
  if (keys.length > 0) return keys;
  throw sshError(
    { host, port, user: null },
    {
      code: 'host-unreachable',
      what: `the host showed no key: ${attempts.find((attempt) => attempt.problem !== undefined)?.problem ?? 'unknown'}`,
      remedy: 'Check address, port, network and that an SSH server answers there.',
      mayHaveStarted: false,
    },
  );
}
