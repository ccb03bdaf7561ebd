import { Bash, bytesOutput, defineCommand, unsafeBytesFromLatin1, type ExecResult } from 'just-bash';
import { shellCommandNames } from './builtin-commands.js';
import { demoCommands } from './commands/index.js';
import { done, variablesOf } from './commands/types.js';
import type { Machine } from './machine.js';
import { needsStdinFirst, readsStdin, streamToTerminal } from './terminal.js';
import { HostView, outputBytes, type ShellUser, type TerminalWrite } from './view.js';

/** What an SSH session lends to the shells that run in it. */
export interface SessionIo {
  readonly write: TerminalWrite;
  /** All of stdin, once the client has ended it; empty when it was taken before. */
  takeStdin(): Promise<Buffer>;
  readonly signal: AbortSignal;
  readonly groupId: number;
  /** What runs in the background, by process id -> exit code; the session lasts until it ends, unless it has detached itself. */
  readonly jobs: Map<number, Promise<number>>;
}

export interface LaunchOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** One character a byte. */
  readonly stdin?: string | undefined;
  /** Where `stdin` is undefined and the command reads it, it is taken from the channel. */
  readonly inheritsStdin: boolean;
  /** Output goes to the channel while the command runs, rather than into the result. */
  readonly terminal: boolean;
}

const maxJobs = 64;

const limits = {
  // A busy loop holds up the whole estate, since all hosts share one thread.
  maxCommandCount: 30_000,
  maxLoopIterations: 20_000,
  maxCallDepth: 100,
  maxOutputSize: 32 * 1024 * 1024,
  maxStringLength: 32 * 1024 * 1024,
  maxExecutionTimeMs: 24 * 3_600_000,
  maxSourceBytes: 8 * 1024 * 1024,
};

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function errorText(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const match = /^(E[A-Z]+): (.*), open '(.*)'$/s.exec(message);
  if (!match) return message;
  return `cannot create ${match[3] ?? ''}: ${match[1] === 'EACCES' ? 'Permission denied' : match[1] === 'ENOENT' ? 'Directory nonexistent' : (match[2] ?? '')}`;
}

interface ExitTrap {
  readonly script: string;
  readonly env: Record<string, string>;
  readonly cwd: string;
}

/** A shell of one user in one session. It keeps no variables between runs; the file system is the host's. */
export class Shell {
  readonly view: HostView;
  readonly pid: number;
  private readonly bash: Bash;
  private readonly exitTraps: (ExitTrap | undefined)[] = [];

  constructor(
    readonly machine: Machine,
    readonly user: ShellUser,
    readonly io: SessionIo,
    pid?: number,
  ) {
    this.pid = pid ?? machine.newPid();
    this.view = new HostView(machine, user, io.write);
    const customCommands = Object.entries(demoCommands).map(([name, run]) =>
      defineCommand(name, (args, context) => run(args, context, this)),
    );
    this.bash = new Bash({
      fs: this.view,
      cwd: '/',
      commands: [...shellCommandNames],
      customCommands,
      executionLimits: limits,
      // It patches the globals of the whole process, SSH server included, and guards interpreters of JavaScript and Python,
      // which these hosts do not have: no command of theirs reaches files, processes or the network of the real machine.
      defenseInDepth: false,
      processInfo: { pid: this.pid, ppid: 1, uid: user.uid, gid: user.uid },
    });
  }

  /** A shell of another user in the same session and process group. */
  as(userName: string): Shell {
    const uid = userName === 'root' ? 0 : 1000;
    const shell = new Shell(this.machine, { name: userName, uid, home: this.machine.homeOf(userName) }, this.io);
    shell.view.umask = this.view.umask;
    return shell;
  }

  /** Runs a script beside this one and returns its process id. One under setsid or nohup outlives the session. */
  background(script: string, options: LaunchOptions): number {
    const { machine } = this;
    const detached = /^\s*(setsid|nohup)\b/.test(script);
    if (this.io.jobs.size >= maxJobs) throw new Error('too many background jobs');
    if (!detached) {
      const shell = new Shell(machine, this.user, this.io);
      shell.view.umask = this.view.umask;
      this.io.jobs.set(
        shell.pid,
        shell
          .run(script, 'sh', [], { ...options, stdin: '', inheritsStdin: false, terminal: true })
          .then((result) => result.exitCode),
      );
      return shell.pid;
    }
    const pid = machine.newPid();
    const controller = new AbortController();
    const io: SessionIo = {
      write: () => Promise.resolve(),
      takeStdin: () => Promise.resolve(Buffer.alloc(0)),
      signal: controller.signal,
      groupId: pid,
      jobs: new Map(),
    };
    machine.processes.set(pid, {
      pid,
      groupId: pid,
      user: this.user.name,
      command: script.slice(0, 200),
      startedAtMs: Date.now(),
      signal: () => controller.abort(),
    });
    const shell = new Shell(machine, this.user, io, pid);
    shell.view.umask = this.view.umask;
    void shell
      .run(script, 'sh', [], { ...options, stdin: '', inheritsStdin: false, terminal: true })
      .finally(() => machine.processes.delete(pid));
    return pid;
  }

  async reboot(): Promise<ExecResult> {
    if (this.user.uid !== 0) return done(1, '', 'Call to Reboot failed: Interactive authentication required.\n');
    await this.machine.reboot();
    return done(0);
  }

  environment(): Record<string, string> {
    return {
      HOME: this.user.home,
      USER: this.user.name,
      LOGNAME: this.user.name,
      SHELL: '/bin/bash',
      PATH: '/usr/local/bin:/usr/bin:/bin',
      LANG: 'C.UTF-8',
    };
  }

  /** Remembers what the script that runs now does at its end, whichever way it ends. */
  setExitTrap(trap: ExitTrap | undefined): void {
    this.exitTraps[this.exitTraps.length - 1] = trap;
  }

  /** Runs a script with positional parameters, like `sh -c SCRIPT NAME ARGS...`. */
  async run(script: string, name: string, args: readonly string[], options: LaunchOptions): Promise<ExecResult> {
    let source = script;
    let waits = false;
    try {
      if (options.terminal) ({ source, needsStdinFirst: waits } = streamToTerminal(script));
      else waits = options.inheritsStdin && needsStdinFirst(script);
    } catch (error) {
      return this.finish(
        done(2, '', `${name}: ${error instanceof Error ? error.message : String(error)}\n`),
        options.terminal,
      );
    }
    let { stdin } = options;
    if (waits && options.inheritsStdin && !stdin) stdin = (await this.io.takeStdin()).toString('latin1');
    const positional: Record<string, string> = { '0': name, '#': String(args.length), '@': args.join(' ') };
    args.forEach((argument, index) => (positional[String(index + 1)] = argument));
    this.exitTraps.push(undefined);
    try {
      const result = await this.execute(source, { ...options, stdin, env: { ...options.env, ...positional } });
      return await this.finish(result, options.terminal);
    } finally {
      await this.runExitTrap(this.exitTraps.pop());
    }
  }

  private async runExitTrap(trap: ExitTrap | undefined): Promise<void> {
    if (!trap) return;
    try {
      // Not under the session's signal: cleaning up is what the handler is for when the session is killed.
      await this.bash.exec(trap.script, {
        rawScript: true,
        replaceEnv: true,
        env: trap.env,
        cwd: trap.cwd,
        signal: AbortSignal.timeout(5000),
      });
    } catch {
      // Nobody is left to read what a handler says.
    }
  }

  /** Runs one program by its arguments; no text is parsed as shell. */
  async program(argv: readonly string[], options: LaunchOptions): Promise<ExecResult> {
    const [name = '', ...args] = argv;
    let { stdin } = options;
    if (options.inheritsStdin && !stdin && readsStdin(name.slice(name.lastIndexOf('/') + 1), args)) {
      stdin = (await this.io.takeStdin()).toString('latin1');
    }
    // Through the view, because a result as text no longer tells bytes from characters.
    const capture = this.view.openCapture();
    try {
      const result = await this.execute(`${[name, ...args].map(quote).join(' ')} >>${capture.path}`, {
        ...options,
        stdin,
      });
      const rest = outputBytes(result.stdout, 'utf8');
      return {
        ...bytesOutput(unsafeBytesFromLatin1(Buffer.concat([...capture.chunks, rest]).toString('latin1'))),
        stderr: result.stderr,
        exitCode: result.exitCode,
      };
    } finally {
      capture.close();
    }
  }

  private async execute(source: string, options: LaunchOptions): Promise<ExecResult> {
    const unregister = this.register(source);
    try {
      // just-bash takes `env` as plain variables; a program that a script starts inherits only exported ones.
      const names = Object.keys(variablesOf(options.env)).join(' ');
      return await this.bash.exec(names === '' ? source : `export ${names}; ${source}`, {
        rawScript: true,
        replaceEnv: true,
        env: { ...options.env },
        cwd: options.cwd,
        stdin: options.stdin ?? '',
        stdinKind: 'bytes',
        signal: this.io.signal,
      });
    } catch (error) {
      return done(2, '', `${options.env['0'] ?? 'sh'}: 1: ${errorText(error)}\n`);
    } finally {
      unregister();
    }
  }

  /** Lists the shell among the host's processes unless it is the session's own, which is listed already. */
  private register(command: string): () => void {
    const { processes } = this.machine;
    if (processes.has(this.pid)) return () => undefined;
    const group = processes.get(this.io.groupId);
    processes.set(this.pid, {
      pid: this.pid,
      groupId: this.io.groupId,
      user: this.user.name,
      command: command.slice(0, 200),
      startedAtMs: Date.now(),
      signal: (name) => group?.signal(name),
    });
    return () => processes.delete(this.pid);
  }

  /** What just-bash returned at the end rather than streamed goes to the channel now. */
  private async finish(result: ExecResult, terminal: boolean): Promise<ExecResult> {
    if (!terminal) return result;
    const aborted = this.io.signal.aborted;
    const encoding = result.stdoutKind === 'bytes' ? 'binary' : 'utf8';
    if (result.stdout !== '') await this.io.write('stdout', outputBytes(result.stdout, encoding));
    if (result.stderr !== '' && !aborted) await this.io.write('stderr', outputBytes(result.stderr, 'utf8'));
    return done(result.exitCode);
  }
}
