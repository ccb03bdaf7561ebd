import { performance } from 'node:perf_hooks';
import type { Readable } from 'node:stream';
import type { ClientChannel } from 'ssh2';
import type { FettleError } from '@fettle/contracts';
import { errorText, sshError } from './errors.js';
import type { ExecRequest, ExecResult, SshEndpoint } from './types.js';
import { StartScanner, type StartEvent, type WrappedCommand } from './wrapper.js';

/** What nologin(8) of shadow and of util-linux says, on standard output, in place of running anything. */
const NO_LOGIN = 'This account is currently not available.';
const MAX_EARLY_BYTES = 256;

export interface SessionOptions {
  readonly endpoint: SshEndpoint;
  readonly command: WrappedCommand;
  readonly becomePassword: string | undefined;
  readonly stdin: ExecRequest['stdin'];
  readonly onOutput: ExecRequest['onOutput'];
  readonly maxOutputBytes: number;
  /** How long output may stay silent and open after the command ended. */
  readonly lingerMs: number;
  /** Why the connection was lost, or undefined while it lives. */
  readonly lossReason: () => string | undefined;
}

/** Processes of a session on the host, as announced by the wrapper. */
export interface RemoteProcesses {
  /** Leader of the SSH session's process group and session. */
  readonly loginPid: number | undefined;
  /** First process of the user that was become. */
  readonly becomePid: number | undefined;
}

/** One command on one channel: pumps its streams and tells how it ended. */
export class Session {
  /** Settles once, when the channel is closed and all its output was consumed. */
  readonly finished: Promise<ExecResult>;
  /** Settles when output has nowhere to go, be it with the host's consent: the owner then ends the command. */
  readonly sinkFailed: Promise<'sink'>;
  private tellSinkFailed!: (value: 'sink') => void;
  private settle!: { resolve: (result: ExecResult) => void; reject: (error: FettleError) => void };
  private readonly startedAtMs = performance.now();
  private readonly scanner: StartScanner;
  private readonly bytes = { stdout: 0, stderr: 0 };
  private truncated = false;
  private started = false;
  /** Standard output from before the command announced itself; thrown away when it does. */
  private early: Buffer = Buffer.alloc(0);
  private stdoutBytesAtLogin = 0;
  private loginPid: number | undefined;
  private becomePid: number | undefined;
  private prompts = 0;
  private exit: { exitCode: number } | { signal: string } | undefined;
  private failure: FettleError | undefined;
  private leftBehind = false;
  private pendingWrites = 0;
  private lingerTimer: NodeJS.Timeout | undefined;
  private channelDone = false;
  private closed = false;
  private readonly onLogin: (() => void)[] = [];

  constructor(
    private readonly channel: ClientChannel,
    private readonly options: SessionOptions,
  ) {
    this.scanner = new StartScanner(options.command);
    this.finished = new Promise((resolve, reject) => (this.settle = { resolve, reject }));
    this.finished.catch(() => undefined);
    this.sinkFailed = new Promise((resolve) => (this.tellSinkFailed = resolve));
    this.listen();
    if (!options.command.becomes) this.sendStdin();
  }

  get processes(): RemoteProcesses {
    return { loginPid: this.loginPid, becomePid: this.becomePid };
  }

  /** Resolves when the process id of the session is known, or the session has ended, or after `timeoutMs`. */
  async waitForLogin(timeoutMs: number): Promise<void> {
    if (this.loginPid !== undefined || this.closed) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.onLogin.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** Asks the server to signal the command (RFC 4254 section 6.9); not all servers do it. */
  signal(name: 'TERM' | 'KILL'): void {
    try {
      this.channel.signal(name);
    } catch {
      // The channel is already closed.
    }
  }

  /** Gives the channel up and settles, whatever the host does. */
  abandon(): void {
    if (this.closed) return;
    this.channel.resume();
    this.channel.stderr.resume();
    this.channel.close();
    this.finish();
  }

  private listen(): void {
    const { channel } = this;
    channel.on('exit', (code: number | null, signal?: string) => {
      this.exit = code === null ? { signal: (signal ?? 'unknown').replace(/^SIG/, '') } : { exitCode: code };
      this.armLinger();
    });
    // Errors of a channel are losses of its connection; `close` follows and tells.
    channel.on('error', () => undefined);
    channel.stderr.on('error', () => undefined);
    const ended = [channel, channel.stderr].map(
      (stream) =>
        new Promise<void>((resolve) => {
          stream.once('end', resolve);
          stream.once('close', resolve);
        }),
    );
    const closed = new Promise<void>((resolve) => channel.once('close', () => resolve()));
    this.consume('stdout', channel, (chunk) => this.deliver('stdout', chunk));
    this.consume('stderr', channel.stderr, (chunk) =>
      this.started ? this.deliver('stderr', chunk) : this.scanStart(chunk),
    );
    void Promise.all([...ended, closed]).then(() => {
      this.channelDone = true;
      this.finishWhenDelivered();
    });
  }

  /** Hands chunks on one by one: a stream is not read while its consumer is busy, so the window of the channel fills. */
  private consume(name: 'stdout' | 'stderr', stream: Readable, take: (chunk: Buffer) => void | Promise<void>): void {
    stream.on('data', (chunk: Buffer) => {
      this.armLinger();
      let taken: void | Promise<void>;
      try {
        taken = take(chunk);
      } catch (error) {
        this.failSink(name, error);
        return;
      }
      if (taken === undefined || typeof taken.then !== 'function') return;
      stream.pause();
      this.pendingWrites += 1;
      taken
        .catch((error: unknown) => this.failSink(name, error))
        .finally(() => {
          this.pendingWrites -= 1;
          this.armLinger();
          stream.resume();
          this.finishWhenDelivered();
        });
    });
  }

  private deliver(name: 'stdout' | 'stderr', chunk: Buffer): void | Promise<void> {
    if (!this.started && this.early.length <= MAX_EARLY_BYTES) {
      this.early = Buffer.concat([this.early, chunk.subarray(0, MAX_EARLY_BYTES + 1)]);
    }
    const left = this.options.maxOutputBytes - this.bytes.stdout - this.bytes.stderr;
    this.bytes[name] += chunk.length;
    if (this.failure !== undefined) return undefined;
    if (left >= chunk.length) return this.options.onOutput(name, chunk);
    this.truncated = true;
    return left > 0 ? this.options.onOutput(name, chunk.subarray(0, left)) : undefined;
  }

  private scanStart(chunk: Buffer): void | Promise<void> {
    let delivered: void | Promise<void> = undefined;
    for (const event of this.scanner.feed(chunk)) delivered = this.startEvent(event);
    return delivered;
  }

  private startEvent(event: StartEvent): void | Promise<void> {
    const { endpoint, command, becomePassword } = this.options;
    switch (event.kind) {
      case 'login':
        this.loginPid = event.pid;
        this.stdoutBytesAtLogin = this.bytes.stdout;
        for (const resolve of this.onLogin.splice(0)) resolve();
        return undefined;
      case 'prompt':
        this.prompts += 1;
        // A second question means that the first answer was wrong. End of file makes sudo give up.
        if (this.prompts === 1 && becomePassword !== undefined) this.channel.write(`${becomePassword}\n`);
        else this.channel.end();
        return undefined;
      case 'no-directory':
        this.failure ??= sshError(endpoint, {
          code: 'working-directory-unavailable',
          what: `the working directory cannot be entered: ${this.scanner.startText()}`,
          remedy: 'Check that the directory exists on the host and that the user may enter it.',
          mayHaveStarted: false,
        });
        return undefined;
      case 'started':
        this.started = true;
        this.early = Buffer.alloc(0);
        this.becomePid = event.becomePid;
        if (command.becomes) this.sendStdin();
        return event.rest.length > 0 ? this.deliver('stderr', event.rest) : undefined;
    }
  }

  private sendStdin(): void {
    const { stdin, command } = this.options;
    if (!command.readsStdin) return;
    if (command.preamble !== undefined) this.channel.write(command.preamble);
    if (stdin === undefined) this.channel.end();
    else if (Buffer.isBuffer(stdin)) this.channel.end(stdin);
    else {
      this.pumpStdin(stdin).catch((error: unknown) => {
        this.failure ??= sshError(this.options.endpoint, {
          code: 'stdin-source-failed',
          what: `the input for the command could not be read: ${errorText(error)}`,
          mayHaveStarted: true,
          cause: error,
        });
        this.channel.close();
      });
    }
  }

  private async pumpStdin(source: AsyncIterable<Buffer>): Promise<void> {
    const gone = new Promise<void>((resolve) => this.channel.once('close', () => resolve()));
    for await (const chunk of source) {
      if (this.closed || !this.channel.writable) return;
      if (!this.channel.write(chunk)) {
        // A command that ends without reading its input never drains it.
        await Promise.race([gone, new Promise<void>((resolve) => this.channel.once('drain', () => resolve()))]);
      }
    }
    this.channel.end();
  }

  private failSink(name: 'stdout' | 'stderr', error: unknown): void {
    this.failure ??= sshError(this.options.endpoint, {
      code: 'output-sink-failed',
      what: `${name} of the command could not be taken: ${errorText(error)}`,
      mayHaveStarted: true,
      cause: error,
    });
    this.tellSinkFailed('sink');
  }

  /** A process left behind can hold the output open for ever; once the command has ended, silence ends the session. */
  private armLinger(): void {
    clearTimeout(this.lingerTimer);
    if (this.exit === undefined || this.pendingWrites > 0 || this.closed) return;
    this.lingerTimer = setTimeout(() => {
      this.leftBehind = true;
      this.abandon();
    }, this.options.lingerMs);
  }

  private finishWhenDelivered(): void {
    if (this.channelDone && this.pendingWrites === 0) this.finish();
  }

  private finish(): void {
    if (this.closed) return;
    this.closed = true;
    clearTimeout(this.lingerTimer);
    for (const resolve of this.onLogin.splice(0)) resolve();
    const failure = this.failure ?? this.endedBadly();
    if (failure !== undefined) {
      this.settle.reject(failure);
      return;
    }
    this.settle.resolve({
      ...(this.exit ?? { signal: 'unknown' }),
      durationMs: Math.round(performance.now() - this.startedAtMs),
      stdoutBytes: this.bytes.stdout,
      stderrBytes: this.bytes.stderr,
      truncated: this.truncated,
      leftBehind: this.leftBehind,
    });
  }

  /** What a channel that closed without a failure of ours says about the command; undefined if all is well. */
  private endedBadly(): FettleError | undefined {
    const { endpoint, command, lossReason } = this.options;
    if (this.exit === undefined) {
      const reason = lossReason() ?? 'the host closed the session without an exit status';
      return sshError(endpoint, {
        code: 'connection-lost',
        what: `the connection was lost while the command ran: ${reason}`,
        remedy: 'Look at the host to see what the command did; it may still run there.',
        mayHaveStarted: true,
      });
    }
    if (this.started) return undefined;
    const said = [this.scanner.startText(), this.earlyText()].filter(Boolean).join('\n') || 'it said nothing';
    const mayHaveStarted = this.mayHaveRunUnheard(this.exit);
    if (command.becomes && this.loginPid !== undefined) {
      return sshError(endpoint, {
        code: 'become-failed',
        what: `sudo did not let the command through: ${said}`,
        remedy: 'Check the sudo rules of the user on the host and the password of the become credential.',
        mayHaveStarted,
        detail: { wrongPassword: this.prompts > 1 },
      });
    }
    return sshError(endpoint, {
      code: 'remote-shell-unusable',
      what: mayHaveStarted
        ? `the command may have run, but standard error, on which it says so, did not arrive: ${said}`
        : `the user's shell did not run the command: ${said}`,
      remedy: mayHaveStarted
        ? 'Look at the host to see what the command did. Let no start-up file, forced command or bastion redirect standard error.'
        : 'Give the user a POSIX shell (sh, bash, dash, ksh, zsh) and no forced command.',
      mayHaveStarted,
    });
  }

  /**
   * Whether a command that never announced itself may have run all the same: a start-up file, a forced command or a bastion can
   * keep its standard error from us. What is no shell fails, and says so on standard error or as nologin does.
   */
  private mayHaveRunUnheard(exit: { exitCode: number } | { signal: string }): boolean {
    if (!('exitCode' in exit) || exit.exitCode === 0) return true;
    return this.bytes.stdout > this.stdoutBytesAtLogin && this.earlyText() !== NO_LOGIN;
  }

  /** What came on standard output instead of the command's; nothing where it was cut: half a secret would pass its mask. */
  private earlyText(): string {
    if (this.early.length > MAX_EARLY_BYTES) return '';
    const lines = this.early.toString('utf8').split('\n');
    return lines.filter((line) => line !== '' && !line.includes(this.options.command.nonce)).join('\n');
  }
}
