import { connect as connectSocket } from 'node:net';
import { performance } from 'node:perf_hooks';
import type { Duplex } from 'node:stream';
import ssh2, { type AnyAuthMethod, type ClientChannel, type ConnectConfig, type ParsedKey } from 'ssh2';
import { FettleError } from '@fettle/contracts';
import { errorText, sshError } from './errors.js';
import { fingerprintSha256, offeredAlgorithms, type PinnedKey } from './host-keys.js';
import type { SshCredential, SshEndpoint } from './types.js';

// The package is CommonJS, whose names Node cannot all see as exports.
const { Client, utils } = ssh2;

export interface ConnectionOptions {
  readonly connectTimeoutMs: number;
  readonly keepaliveIntervalMs: number;
}

/** Who we are, ready to be used for any number of connections: decrypting a private key is slow on purpose. */
export type PreparedCredential =
  { readonly kind: 'private-key'; readonly key: ParsedKey } | { readonly kind: 'password'; readonly password: string };

/** By object: hosts share a credential, and decrypting its key for each of them would cost seconds. */
const prepared = new WeakMap<SshCredential, PreparedCredential>();

/** @throws FettleError `invalid-credential` */
export function prepareCredential(endpoint: SshEndpoint, credential: SshCredential): PreparedCredential {
  if (credential.kind === 'password') return credential;
  const known = prepared.get(credential);
  if (known !== undefined) return known;
  const key = utils.parseKey(credential.privateKey, credential.passphrase);
  if (key instanceof Error || !key.isPrivateKey()) {
    throw sshError(endpoint, {
      code: 'invalid-credential',
      // The parser's message names the format, never the key.
      what: `the private key cannot be read${key instanceof Error ? ` (${key.message})` : ''}`,
      remedy: 'Store the credential again: a private key in OpenSSH or PEM format, with its passphrase if it has one.',
      mayHaveStarted: false,
    });
  }
  const ready: PreparedCredential = { kind: 'private-key', key };
  prepared.set(credential, ready);
  return ready;
}

/** Why a command could not be sent. */
export class ExecNotStarted extends Error {
  constructor(
    /** `channel`: the server opened no session; `command`: it opened one and refused the command; `lost`: no connection. */
    readonly reason: 'channel' | 'command' | 'lost',
    /** False only where it is certain that the server never received the command. */
    readonly mayHaveStarted: boolean,
    cause: unknown,
  ) {
    super(errorText(cause), { cause });
    this.name = 'ExecNotStarted';
  }
}

function connectDirectly({ host, port }: SshEndpoint): Duplex {
  const socket = connectSocket({ host, port });
  // Nagle's algorithm would hold back each small packet for the peer's delayed acknowledgement: 40 ms a command.
  socket.setNoDelay(true);
  return socket;
}

/** One authenticated SSH connection. The host key is checked before anything about us is sent. */
export class SshConnection {
  /** Settles once: ready to run commands, or rejected with the typed error of the attempt. */
  readonly ready: Promise<void>;
  /** Resolves when the connection is over, for whatever reason. Never rejects. */
  readonly closed: Promise<void>;
  private readonly client = new Client();
  private readonly socket: Duplex;
  private readonly connectedAtMs = performance.now();
  private state: 'connecting' | 'ready' | 'closed' = 'connecting';
  private handshakeDone = false;
  private failure: FettleError | undefined;
  private lostBecause: Error | undefined;
  private settleReady: { resolve: () => void; reject: (error: FettleError) => void } | undefined;

  constructor(
    private readonly endpoint: SshEndpoint,
    credential: PreparedCredential,
    /** At least one key; `parsePinnedKeys` sees to it. */
    pinned: readonly PinnedKey[],
    private readonly options: ConnectionOptions,
    /** A socket to the host that leads through others; absent: a connection of our own. */
    dialed?: Duplex,
  ) {
    this.ready = new Promise((resolve, reject) => (this.settleReady = { resolve, reject }));
    // Whoever waits sees the rejection; when all waiters have gone, nobody does, and that is no defect.
    this.ready.catch(() => undefined);
    this.socket = dialed ?? connectDirectly(endpoint);
    this.closed = new Promise((resolve) => {
      this.socket.once('close', () => {
        this.state = 'closed';
        resolve();
      });
    });
    this.listen();
    this.start(pinned, credential);
  }

  get isClosed(): boolean {
    return this.state === 'closed';
  }

  get isReady(): boolean {
    return this.state === 'ready';
  }

  /** Why the connection went away after it was ready, for error messages. */
  get lossReason(): string {
    return this.lostBecause === undefined ? 'the host closed the connection' : errorText(this.lostBecause);
  }

  /**
   * Opens a session and sends the command. `use` gets the channel at once: output, exit status and close may lie in the same
   * packet as the host's consent, and events that nobody listens to are lost.
   * @throws ExecNotStarted
   */
  openExec<T>(line: string, use: (channel: ClientChannel) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      let opened = false;
      // The client reads its options when the server has opened the session and just before it sends the command: all that
      // fails before is known not to have reached the shell. Should that order change, tests with a mute server notice.
      const options = {
        get env(): NodeJS.ProcessEnv {
          opened = true;
          return {};
        },
      };
      const fail = (error: unknown): void => {
        const lost = this.state === 'closed' || !this.socket.writable;
        const reason = lost ? 'lost' : opened ? 'command' : 'channel';
        reject(new ExecNotStarted(reason, opened && lost, error));
      };
      try {
        this.client.exec(line, options, (error, channel) => (error ? fail(error) : resolve(use(channel))));
      } catch (error) {
        fail(error);
      }
    });
  }

  /** Connects the host to an address that it reaches (RFC 4254 section 7.2). Rejects with the server's refusal. */
  openForward(host: string, port: number): Promise<Duplex> {
    return new Promise((resolve, reject) => {
      try {
        this.client.forwardOut('127.0.0.1', 0, host, port, (error, channel) =>
          error ? reject(error) : resolve(channel),
        );
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
  }

  /** Ends the connection in an orderly way; open sessions are cut. */
  end(): void {
    if (this.state !== 'ready') {
      this.destroy();
      return;
    }
    this.client.end();
    const timer = setTimeout(() => this.destroy(), 1_000);
    timer.unref();
    this.socket.once('close', () => clearTimeout(timer));
  }

  /** Cuts the connection at once. */
  destroy(): void {
    this.socket.destroy();
  }

  private start(pinned: readonly PinnedKey[], credential: PreparedCredential): void {
    const timer = setTimeout(() => {
      this.fail(this.unreachable(`no session within ${this.options.connectTimeoutMs} ms`, 'timeout', undefined));
    }, this.options.connectTimeoutMs);
    this.ready.then(
      () => clearTimeout(timer),
      () => clearTimeout(timer),
    );
    const config: ConnectConfig = {
      sock: this.socket,
      username: this.endpoint.user,
      // Its own timer is off: ours also covers hosts that trickle bytes.
      readyTimeout: 0,
      keepaliveInterval: this.options.keepaliveIntervalMs,
      keepaliveCountMax: 3,
      algorithms: { serverHostKey: offeredAlgorithms(pinned) },
      hostVerifier: (blob: Buffer): boolean => this.verifyHostKey(pinned, blob),
      authHandler: this.authentication(credential),
    };
    try {
      this.client.connect(config);
    } catch (error) {
      this.fail(this.unreachable(`cannot connect: ${errorText(error)}`, 'client', error));
    }
  }

  /** The methods to try. Asking with `none` first, as is usual, would cost a round trip. */
  private authentication(credential: PreparedCredential): AnyAuthMethod[] {
    const username = this.endpoint.user;
    if (credential.kind === 'private-key') return [{ type: 'publickey', username, key: credential.key }];
    const { password } = credential;
    return [
      { type: 'password', username, password },
      {
        // Servers with PAM often offer passwords only through a dialogue (RFC 4256): one hidden question is taken for it.
        type: 'keyboard-interactive',
        username,
        prompt: (_name, _instructions, _lang, prompts, finish) => {
          const only = prompts.length === 1 ? prompts[0] : undefined;
          finish(only !== undefined && only.echo !== true ? [password] : []);
        },
      },
    ];
  }

  private verifyHostKey(pinned: readonly PinnedKey[], blob: Buffer): boolean {
    if (pinned.some((key) => key.blob.equals(blob))) return true;
    const expected = pinned.map((key) => fingerprintSha256(key.blob));
    const seen = fingerprintSha256(blob);
    this.failure ??= sshError(this.endpoint, {
      code: 'host-key-mismatch',
      what: `the host shows the key ${seen}, but pinned is ${expected.join(' or ')}; nothing was sent to it`,
      remedy:
        'Find out why the key changed. If the host was set up anew, enrol it again with `fettle asset enrol`; else somebody may be in between.',
      mayHaveStarted: false,
      detail: { expected, seen },
    });
    return false;
  }

  private listen(): void {
    this.client.on('ready', () => {
      if (this.state !== 'connecting') return;
      this.state = 'ready';
      this.settleReady?.resolve();
    });
    this.client.on('handshake', () => (this.handshakeDone = true));
    this.client.on('error', (error: Error & { level?: string; code?: unknown }) => {
      if (this.state === 'connecting') this.fail(this.attemptError(error));
      else this.lostBecause ??= error;
      // A client whose protocol failed ends politely; a peer that ignores this must not keep the socket.
      this.destroy();
    });
    this.socket.once('end', () => {
      if (this.state === 'connecting') this.fail(this.closedEarly());
    });
    this.socket.once('close', () => this.fail(this.closedEarly()));
  }

  private fail(error: FettleError): void {
    this.failure ??= error;
    this.settleReady?.reject(this.failure);
    this.destroy();
  }

  private closedEarly(): FettleError {
    const stage = this.handshakeDone ? 'during authentication' : 'before a session was set up';
    return this.unreachable(`the host closed the connection ${stage}`, 'closed', undefined);
  }

  private attemptError(error: Error & { level?: string; code?: unknown }): FettleError {
    // Of a jump host on the way, which names itself.
    if (error instanceof FettleError) return error;
    // A DISCONNECT message has a numeric code (RFC 4253 section 11.1); after the key exchange it answers our authentication.
    const refused = this.handshakeDone && typeof error.code === 'number';
    if (error.level === 'client-authentication' || refused) {
      return sshError(this.endpoint, {
        code: 'authentication-failed',
        what: `the host did not accept the credential (${error.message})`,
        remedy:
          'Check the user, and that the credential is allowed on the host (authorized_keys, locked accounts, sshd settings).',
        mayHaveStarted: false,
        cause: error,
      });
    }
    const reason = typeof error.code === 'string' ? error.code : (error.level ?? 'protocol');
    return this.unreachable(`cannot connect: ${error.message || reason}`, reason, error);
  }

  private unreachable(what: string, reason: string, cause: unknown): FettleError {
    return sshError(this.endpoint, {
      code: 'host-unreachable',
      what,
      remedy: 'Check address, port, network and that an SSH server answers there.',
      mayHaveStarted: false,
      detail: { reason, afterMs: Math.round(performance.now() - this.connectedAtMs) },
      cause,
    });
  }
}
