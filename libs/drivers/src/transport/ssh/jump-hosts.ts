import type { Duplex } from 'node:stream';
import { FettleError } from '@fettle/contracts';
import { errorText, sshError } from './errors.js';
import { ForwardedSocket, type OpenedForward } from './forwarded-socket.js';
import { ConnectionPool, type ConnectionPoolOptions } from './pool.js';
import type { SshEndpoint, SshJump } from './types.js';

/** Jump hosts on the way to one host. */
export const MAX_JUMPS = 3;
/** What MaxSessions of sshd limits are sessions; forwarded connections are not among them. */
const FORWARDS_PER_CONNECTION = 64;
const MAX_CONNECTIONS_PER_JUMP_HOST = 8;

/**
 * Connections through jump hosts (RFC 4254 section 7.2). They have a pool of their own, so that a host behind a jump host never
 * waits for a connection that it keeps busy itself. Each hop shows its pinned key before anything about us is sent to it.
 */
export class JumpHosts {
  readonly #pool: ConnectionPool;

  constructor(options: ConnectionPoolOptions) {
    const own = {
      channelsPerConnection: FORWARDS_PER_CONNECTION,
      maxConnectionsPerTarget: MAX_CONNECTIONS_PER_JUMP_HOST,
    };
    this.#pool = new ConnectionPool({ ...options, ...own }, (endpoint) => this.dial(endpoint));
  }

  /** A socket to the endpoint, where it stands behind a jump host. */
  dial(endpoint: Pick<SshEndpoint, 'host' | 'port' | 'user' | 'jump'>): Duplex | undefined {
    const { jump } = endpoint;
    return jump === undefined ? undefined : new ForwardedSocket((signal) => this.#open(endpoint, jump, signal));
  }

  close(): Promise<void> {
    return this.#pool.close();
  }

  async #open(
    endpoint: Pick<SshEndpoint, 'host' | 'port' | 'user'>,
    jump: SshJump,
    signal: AbortSignal,
  ): Promise<OpenedForward> {
    if (jumpCount(jump) > MAX_JUMPS) {
      throw jumpError(endpoint, jump, `the way has more than ${MAX_JUMPS} jump hosts`, 'Give the host a shorter way.');
    }
    for (let attempt = 1; ; attempt += 1) {
      const lease = await this.#pool.acquire(jump.endpoint, jump.credential, signal).catch((error: unknown) => {
        throw hopFailure(endpoint, jump, error);
      });
      try {
        const stream = await lease.connection.openForward(endpoint.host, endpoint.port);
        return { stream, release: () => lease.release() };
      } catch (error) {
        const isLost = lease.connection.isClosed;
        lease.release();
        // A connection that was idle may have been dead; nothing has gone over it.
        if (!isLost || attempt > 1) throw forwardFailure(endpoint, jump, error, isLost);
      }
    }
  }
}

function jumpCount(jump: SshJump | undefined): number {
  let count = 0;
  for (let hop = jump; hop !== undefined; hop = hop.endpoint.jump) count += 1;
  return count;
}

type Place = Pick<SshEndpoint, 'host' | 'port' | 'user'>;

function jumpError(
  { host, port, user }: Place,
  jump: SshJump,
  what: string,
  remedy: string | undefined,
  more: { readonly hop?: unknown; readonly hopCode?: unknown; readonly cause?: unknown } = {},
): FettleError {
  const { hop = jump.name, hopCode, cause } = more;
  return sshError(
    { host, port, user: user === '' ? null : user },
    {
      code: 'jump-host-failed',
      what: `through jump host ${jump.name}: ${what}`,
      remedy,
      mayHaveStarted: false,
      detail: { hop, ...(hopCode === undefined ? {} : { hopCode }) },
      cause,
    },
  );
}

/** The jump host itself could not be used. Its code is another one: what is wrong with it is not wrong with the host behind it. */
function hopFailure(place: Place, jump: SshJump, error: unknown): FettleError {
  if (!(error instanceof FettleError)) return jumpError(place, jump, errorText(error), undefined, { cause: error });
  const { code, message, remedy, detail = {} } = error;
  const inner = code === 'jump-host-failed' ? { hop: detail['hop'], hopCode: detail['hopCode'] } : { hopCode: code };
  return jumpError(place, jump, message, remedy, { ...inner, cause: error });
}

/** Reasons of RFC 4254 section 5.1. */
const OPEN_CONNECT_FAILED = 2;

function forwardFailure(place: Place, jump: SshJump, error: unknown, isLost: boolean): FettleError {
  const reason: unknown = typeof error === 'object' && error !== null && 'reason' in error ? error.reason : undefined;
  if (isLost)
    return jumpError(place, jump, 'its connection was lost', undefined, { hopCode: 'connection-lost', cause: error });
  if (reason === OPEN_CONNECT_FAILED) {
    return sshError(place, {
      code: 'host-unreachable',
      what: `jump host ${jump.name} cannot connect to it: ${errorText(error)}`,
      remedy: 'Check address and port as the jump host sees them, and that an SSH server answers there.',
      mayHaveStarted: false,
      detail: { hop: jump.name },
      cause: error,
    });
  }
  const remedy = 'Check AllowTcpForwarding and PermitOpen in the sshd settings of the jump host.';
  return jumpError(place, jump, `it does not forward to ${place.host}:${place.port} (${errorText(error)})`, remedy, {
    hopCode: 'forward-refused',
    cause: error,
  });
}
