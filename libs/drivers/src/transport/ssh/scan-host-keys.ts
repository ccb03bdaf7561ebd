import { connect as connectSocket } from 'node:net';
import type { Duplex } from 'node:stream';
import { FettleError } from '@fettle/contracts';
import ssh2 from 'ssh2';
import { errorText, sshError } from './errors.js';
import { algorithmsFor, blobType, fingerprintSha256, hostKeyTypes, type HostKeyType } from './host-keys.js';
import type { ScannedHostKey } from './types.js';

interface Attempt {
  readonly key?: ScannedHostKey;
  readonly problem?: string;
  /** A jump host on the way that could not be used. */
  readonly failure?: FettleError;
}

/** A socket that leads through others; undefined: the host is reached directly. */
type Dial = () => Duplex | undefined;

function connectDirectly(host: string, port: number): Duplex {
  const socket = connectSocket({ host, port });
  socket.setNoDelay(true);
  return socket;
}

/** Offers one type of key only, notes the key that comes and refuses it: the exchange ends before authentication. */
function scanType(host: string, port: number, type: HostKeyType, timeoutMs: number, dial: Dial): Promise<Attempt> {
  return new Promise((resolve) => {
    const client = new ssh2.Client();
    const socket = dial() ?? connectDirectly(host, port);
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
      const failure = error instanceof FettleError ? { failure: error } : {};
      if (attempt.key === undefined) attempt = { problem: errorText(error), ...failure };
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
 * @throws FettleError `host-unreachable` where it shows none, `jump-host-failed`
 */
export async function scanHostKeys(
  host: string,
  port: number,
  options: { readonly timeoutMs: number; readonly dial?: Dial },
): Promise<readonly ScannedHostKey[]> {
  const { timeoutMs, dial = () => undefined } = options;
  const attempts = await Promise.all(hostKeyTypes.map((type) => scanType(host, port, type, timeoutMs, dial)));
  const keys = attempts.flatMap((attempt) => (attempt.key === undefined ? [] : [attempt.key]));
  if (keys.length > 0) return keys;
  const failure = attempts.find((attempt) => attempt.failure !== undefined)?.failure;
  if (failure) throw failure;
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
