import type { ServerChannel } from 'ssh2';
import type { Machine } from './machine.js';
import { Shell, type SessionIo } from './shell.js';

const maxStdinBytes = 32 * 1024 * 1024;
const fatalSignals = new Set(['TERM', 'KILL', 'INT', 'HUP', 'QUIT', 'PIPE', 'ABRT', 'USR1', 'USR2', 'ALRM']);

/** How a session ended, as the channel reports it (RFC 4254 section 6.10). */
type Ending = { readonly exitCode: number } | { readonly signal: string };

/** One command (or a script on stdin) that runs on a host for an SSH channel. */
export class DemoSession {
  private readonly controller = new AbortController();
  private readonly chunks: Buffer[] = [];
  private stdinBytes = 0;
  private stdinEnded = false;
  private wakeStdin: () => void = () => undefined;
  private taken = false;
  private endedBy: string | undefined;
  readonly pid: number;

  constructor(
    private readonly machine: Machine,
    private readonly channel: ServerChannel,
    private readonly variables: Readonly<Record<string, string>>,
  ) {
    this.pid = machine.newPid();
    channel.on('data', (chunk: Buffer) => this.receive(chunk));
    channel.on('end', () => this.endStdin());
    // A client that goes away takes its session's processes with it, as sshd's SIGHUP does.
    channel.on('close', () => this.signal('HUP'));
    channel.on('error', () => this.signal('HUP'));
    channel.stderr.on('error', () => this.signal('HUP'));
  }

  /** Ends whatever the session runs. */
  signal(name: string): void {
    if (!fatalSignals.has(name) || this.controller.signal.aborted) return;
    this.endedBy = name;
    this.controller.abort(new Error(`signal ${name}`));
    this.endStdin();
  }

  /** Runs a command line, or the script that arrives on stdin when `command` is undefined. Never rejects. */
  async run(command: string | undefined): Promise<void> {
    const { machine } = this;
    const user = machine.profile.user;
    machine.refreshProc();
    machine.processes.set(this.pid, {
      pid: this.pid,
      groupId: this.pid,
      user,
      command: (command ?? '-sh').slice(0, 200),
      startedAtMs: Date.now(),
      signal: (name) => this.signal(name),
    });
    let ending: Ending;
    try {
      const io = this.io();
      const shell = new Shell(machine, { name: user, uid: 1000, home: machine.homeOf(user) }, io, this.pid);
      const script = command ?? (await io.takeStdin()).toString('utf8');
      const env = { ...this.variables, ...shell.environment() };
      const result = await shell.run(script, 'sh', [], {
        env,
        cwd: shell.user.home,
        stdin: undefined,
        inheritsStdin: true,
        terminal: true,
      });
      await Promise.allSettled(io.jobs.values());
      ending = this.endedBy === undefined ? { exitCode: result.exitCode & 0xff } : { signal: this.endedBy };
    } catch {
      ending = this.endedBy === undefined ? { exitCode: 255 } : { signal: this.endedBy };
    } finally {
      machine.processes.delete(this.pid);
    }
    this.finish(ending);
  }

  private finish(ending: Ending): void {
    if (this.channel.destroyed) return;
    try {
      if ('exitCode' in ending) this.channel.exit(ending.exitCode);
      else this.channel.exit(ending.signal, false, '');
      this.channel.end();
    } catch {
      // The connection went away in between: nobody is left to tell.
    }
  }

  private io(): SessionIo {
    return {
      write: (stream, bytes) => this.write(stream, bytes),
      takeStdin: () => this.takeStdin(),
      signal: this.controller.signal,
      groupId: this.pid,
      jobs: new Map(),
    };
  }

  private write(stream: 'stdout' | 'stderr', bytes: Buffer): Promise<void> {
    const { channel } = this;
    if (channel.destroyed || !channel.writable) return Promise.resolve();
    const sink = stream === 'stdout' ? channel : channel.stderr;
    if (sink.write(bytes)) return Promise.resolve();
    return new Promise((resolve) => {
      const settle = (): void => {
        sink.off('drain', settle);
        channel.off('close', settle);
        this.controller.signal.removeEventListener('abort', settle);
        resolve();
      };
      sink.on('drain', settle);
      channel.on('close', settle);
      this.controller.signal.addEventListener('abort', settle);
    });
  }

  private receive(chunk: Buffer): void {
    if (this.taken || this.stdinEnded) return;
    this.stdinBytes += chunk.length;
    if (this.stdinBytes > maxStdinBytes) {
      this.chunks.length = 0;
      void this.write('stderr', Buffer.from(`demo host: stdin is limited to ${maxStdinBytes} bytes\n`));
      this.signal('PIPE');
      return;
    }
    this.chunks.push(chunk);
  }

  private endStdin(): void {
    this.stdinEnded = true;
    this.wakeStdin();
  }

  private async takeStdin(): Promise<Buffer> {
    if (this.taken) return Buffer.alloc(0);
    if (!this.stdinEnded) await new Promise<void>((resolve) => (this.wakeStdin = resolve));
    this.taken = true;
    const bytes = Buffer.concat(this.chunks);
    this.chunks.length = 0;
    return bytes;
  }
}
