import type { ClientChannel } from 'ssh2';
import { ExecNotStarted } from './connection.js';
import { cancelledError, sshError } from './errors.js';
import { findProcesses, type FindProcessesRequest } from './find-processes.js';
import { JumpHosts } from './jump-hosts.js';
import { killArgv } from './kill.js';
import { lookAtFile, type FileLook, type LookAtFileRequest } from './look-at-file.js';
import { ConnectionPool, type ConnectionPoolOptions, type Lease } from './pool.js';
import { putFile } from './put-file.js';
import { restoreFile } from './restore-file.js';
import { scanHostKeys } from './scan-host-keys.js';
import { Session, type RemoteProcesses } from './session.js';
import type {
  Become,
  ExecRequest,
  ExecResult,
  PutFileRequest,
  PutFileResult,
  RestoreFileRequest,
  RestoreFileResult,
  ScannedHostKey,
  SshCredential,
  SshEndpoint,
  SshJump,
} from './types.js';
import { CommandClock, settledWithin, watchEnd } from './watch-end.js';
import { wrapCommand, type WrappedCommand } from './wrapper.js';

export interface SshPoolOptions extends ConnectionPoolOptions {
  /** Time between TERM and KILL when a command is cancelled or timed out. */
  readonly killGraceMs: number;
  /** How long output may stay silent and open after the command ended, e.g. held by a process it left behind. */
  readonly lingerMs: number;
}

const defaults: SshPoolOptions = {
  connectTimeoutMs: 15_000,
  keepaliveIntervalMs: 15_000,
  maxConnections: 512,
  maxConnectionsPerTarget: 4,
  channelsPerConnection: 8,
  idleMs: 60_000,
  queueTimeoutMs: 60_000,
  killGraceMs: 2_000,
  lingerMs: 2_000,
};

const MAX_SEND_ATTEMPTS = 8;
const MAX_BUFFERED_OUTPUT_BYTES = 1024 ** 4;
/** Beside the grace: what connecting, sudo and the last look at the processes may take. */
const KILL_TIMEOUT_MS = 15_000;

/** A request whose time may be running: sending it again and waiting for its end share one clock. */
interface TimedRequest extends ExecRequest {
  readonly clock: CommandClock;
}

interface OpenSession {
  readonly session: Session;
  readonly lease: Lease;
}

/** Runs commands on hosts over pooled, multiplexed SSH connections with pinned host keys (RFC 4253, 4254). */
export class SshPool {
  private readonly options: SshPoolOptions;
  private readonly pool: ConnectionPool;
  private readonly jumpHosts: JumpHosts;

  constructor(options: Partial<SshPoolOptions> = {}) {
    this.options = { ...defaults, ...options };
    this.jumpHosts = new JumpHosts(this.options);
    this.pool = new ConnectionPool(this.options, (endpoint) => this.jumpHosts.dial(endpoint));
  }

  /** Open and opening connections. */
  get connections(): number {
    return this.pool.size;
  }

  /**
   * Runs one command. Resolves with its exit code or signal, whatever they are.
   * @throws FettleError with a code of `SshErrorCode`; `detail.mayHaveStarted` tells whether the command may have run, and for
   *   `cancelled` and `command-timeout` of a command that ran `detail.confirmed` whether its processes are known to be gone
   */
  async exec(endpoint: SshEndpoint, credential: SshCredential, request: ExecRequest): Promise<ExecResult> {
    const env = request.token === undefined ? request.env : { ...request.env, FETTLE_EFFECT_TOKEN: request.token };
    const { argv, cwd, become, stdin } = request;
    const command = wrapCommand(endpoint, { argv, env, cwd, become, stdin });
    const timed = { ...request, clock: new CommandClock(request.timeoutMs) };
    const { session, lease } = await this.open(endpoint, credential, command, timed);
    try {
      return await this.supervise(endpoint, credential, session, lease, timed);
    } finally {
      lease.release();
    }
  }

  /** Puts back what stood at a path before a file was put there. See `restoreFile`. */
  restoreFile(
    endpoint: SshEndpoint,
    credential: SshCredential,
    request: RestoreFileRequest,
  ): Promise<RestoreFileResult> {
    return restoreFile((execRequest) => this.exec(endpoint, credential, execRequest), endpoint, request);
  }

  /** Puts a file in place atomically, or finds that it is there already. See `putFile`. */
  putFile(endpoint: SshEndpoint, credential: SshCredential, request: PutFileRequest): Promise<PutFileResult> {
    return putFile((execRequest) => this.exec(endpoint, credential, execRequest), endpoint, request);
  }

  /** What lies at a path; changes nothing. See `lookAtFile`. */
  lookAtFile(endpoint: SshEndpoint, credential: SshCredential, request: LookAtFileRequest): Promise<FileLook> {
    return lookAtFile((execRequest) => this.exec(endpoint, credential, execRequest), endpoint, request);
  }

  /** Whether a command that was given a token is at work still. See `findProcesses`. */
  findProcesses(
    endpoint: SshEndpoint,
    credential: SshCredential,
    request: FindProcessesRequest,
  ): Promise<'none' | 'some' | 'unsure'> {
    return findProcesses((execRequest) => this.exec(endpoint, credential, execRequest), request);
  }

  /** Host keys as the host shows them now, for explicit enrolment; no authentication is attempted. */
  scanHostKeys(
    host: string,
    port: number,
    options: { readonly timeoutMs: number; readonly jump?: SshJump | undefined },
  ): Promise<readonly ScannedHostKey[]> {
    const { timeoutMs, jump } = options;
    return scanHostKeys(host, port, { timeoutMs, dial: () => this.jumpHosts.dial({ host, port, user: '', jump }) });
  }

  /** Cuts all connections; commands that run end with `connection-lost`. */
  async close(): Promise<void> {
    await this.pool.close();
    await this.jumpHosts.close();
  }

  /** Gets a session with the command sent. What certainly did not reach the host is sent again over another connection. */
  private async open(
    endpoint: SshEndpoint,
    credential: SshCredential,
    command: WrappedCommand,
    request: TimedRequest,
  ): Promise<OpenSession> {
    let lost = 0;
    for (let attempt = 1; ; attempt += 1) {
      const lease = await this.pool.acquire(endpoint, credential, request.signal);
      try {
        return { session: await this.send(endpoint, lease, command, request), lease };
      } catch (error) {
        const alone = !lease.shared;
        if (error instanceof ExecNotStarted && error.reason === 'channel') lease.refused();
        lease.release();
        if (!(error instanceof ExecNotStarted)) throw error;
        if (error.reason === 'lost') lost += 1;
        const again = error.reason === 'lost' ? lost < 2 : error.reason === 'channel' && !alone;
        if (error.mayHaveStarted || !again || attempt >= MAX_SEND_ATTEMPTS) throw this.notSent(endpoint, error);
      }
    }
  }

  private notSent(endpoint: SshEndpoint, error: ExecNotStarted): Error {
    const lost = error.reason === 'lost';
    return sshError(endpoint, {
      code: lost ? 'connection-lost' : 'session-refused',
      what: lost
        ? `the connection was lost ${error.mayHaveStarted ? 'when' : 'before'} the command was sent: ${error.message}`
        : `the host refused to run a command: ${error.message}`,
      remedy: lost ? undefined : 'Check MaxSessions and forced commands in the host’s sshd settings.',
      mayHaveStarted: error.mayHaveStarted,
      cause: error,
    });
  }

  /** Sends the command; a host that does not answer is given up when the time of the command is over. */
  private async send(
    endpoint: SshEndpoint,
    lease: Lease,
    command: WrappedCommand,
    request: TimedRequest,
  ): Promise<Session> {
    if (request.signal.aborted) throw cancelledError(endpoint, false);
    // A timeout in mid-sending would cut the connection, and others with it, for nothing.
    if (request.clock.remainingMs() === 0) {
      throw sshError(endpoint, {
        code: 'command-timeout',
        what: `the ${request.timeoutMs} ms of the command were over before it could be sent`,
        remedy: 'Raise the timeout of the step, or run fewer commands at once on this host.',
        mayHaveStarted: false,
      });
    }
    const opening = lease.connection.openExec(command.line, (channel) =>
      this.session(endpoint, lease, channel, command, request),
    );
    const watch = watchEnd(request.signal, request.clock.remainingMs());
    try {
      const first = await Promise.race([opening, watch.ended]);
      if (typeof first !== 'string') return first;
      // Only cutting the connection keeps the host from starting the command later; its other sessions wait in vain, too.
      lease.connection.destroy();
      await opening.then(
        () => undefined,
        () => undefined,
      );
      throw this.stopped(endpoint, first, request.timeoutMs, { confirmed: false });
    } finally {
      watch.stop();
    }
  }

  private session(
    endpoint: SshEndpoint,
    lease: Lease,
    channel: ClientChannel,
    command: WrappedCommand,
    request: ExecRequest,
  ): Session {
    return new Session(channel, {
      endpoint,
      command,
      becomePassword: request.become?.password,
      stdin: request.stdin,
      onOutput: request.onOutput,
      maxOutputBytes: request.maxOutputBytes ?? MAX_BUFFERED_OUTPUT_BYTES,
      lingerMs: this.options.lingerMs,
      lossReason: () => (lease.connection.isClosed ? lease.connection.lossReason : undefined),
    });
  }

  /** Waits for the end of the command, or ends it. */
  private async supervise(
    endpoint: SshEndpoint,
    credential: SshCredential,
    session: Session,
    lease: Lease,
    request: TimedRequest,
  ): Promise<ExecResult> {
    const watch = watchEnd(request.signal, request.clock.remainingMs());
    try {
      const first = await Promise.race([session.finished, watch.ended, session.sinkFailed]);
      if (typeof first !== 'string') return first;
      const confirmed = await this.endRemote(endpoint, credential, session, lease, request.become);
      session.abandon();
      if (first === 'sink') return await session.finished;
      throw this.stopped(endpoint, first, request.timeoutMs, { confirmed });
    } finally {
      watch.stop();
    }
  }

  private stopped(
    endpoint: SshEndpoint,
    why: 'cancelled' | 'timeout',
    timeoutMs: number,
    detail: { readonly confirmed: boolean },
  ): Error {
    if (why === 'cancelled') return cancelledError(endpoint, true, detail);
    return sshError(endpoint, {
      code: 'command-timeout',
      what: `the command did not end within ${timeoutMs} ms${detail.confirmed ? ' and was ended' : ''}`,
      remedy: detail.confirmed
        ? 'Raise the timeout of the step.'
        : 'Look at the host: the command may still run there.',
      mayHaveStarted: true,
      detail,
    });
  }

  /** Ends the processes of a session through a second one. True if the host says that they are gone. */
  private async endRemote(
    endpoint: SshEndpoint,
    credential: SshCredential,
    session: Session,
    lease: Lease,
    become: Become | undefined,
  ): Promise<boolean> {
    await session.waitForLogin(1_000);
    const { loginPid, becomePid } = session.processes;
    session.signal('TERM');
    if (loginPid === undefined) {
      session.signal('KILL');
      return false;
    }
    try {
      const confirmed = await this.kill(endpoint, credential, lease, { loginPid, becomePid }, become);
      if (confirmed) await settledWithin(session.finished, 1_000);
      return confirmed;
    } catch {
      // The host cannot be asked any more; the caller reports that the end is not confirmed.
      return false;
    }
  }

  private async kill(
    endpoint: SshEndpoint,
    credential: SshCredential,
    lease: Lease,
    processes: RemoteProcesses & { readonly loginPid: number },
    become: Become | undefined,
  ): Promise<boolean> {
    const answer: Buffer[] = [];
    const timeoutMs = this.options.killGraceMs + KILL_TIMEOUT_MS;
    const request: TimedRequest = {
      argv: killArgv(processes.loginPid, processes.becomePid, this.options.killGraceMs),
      become: processes.becomePid === undefined ? undefined : become,
      timeoutMs,
      clock: new CommandClock(timeoutMs),
      // The caller's signal is what brought us here; this has its own limit.
      signal: AbortSignal.timeout(timeoutMs),
      onOutput: (stream, chunk) => void (stream === 'stdout' && answer.push(chunk)),
      maxOutputBytes: 1_024,
    };
    const command = wrapCommand(endpoint, request);
    const killer = await this.openForKill(endpoint, credential, lease, command, request);
    const watch = watchEnd(request.signal, request.clock.remainingMs());
    try {
      await Promise.race([killer.session.finished, watch.ended]);
      return Buffer.concat(answer).toString().trim() === 'gone';
    } finally {
      watch.stop();
      killer.session.abandon();
      killer.lease?.release();
    }
  }

  /** Ending a command must not queue behind other commands: it first takes a session beyond the limit, on its connection. */
  private async openForKill(
    endpoint: SshEndpoint,
    credential: SshCredential,
    lease: Lease,
    command: WrappedCommand,
    request: TimedRequest,
  ): Promise<{ readonly session: Session; readonly lease?: Lease }> {
    try {
      return { session: await this.send(endpoint, lease, command, request) };
    } catch (error) {
      if (!(error instanceof ExecNotStarted) || error.reason === 'command') throw error;
      return await this.open(endpoint, credential, command, request);
    }
  }
}
