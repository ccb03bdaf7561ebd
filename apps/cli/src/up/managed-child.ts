import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { FettleError } from '@fettle/contracts';
import { delay, identifyProcess, type EndStep, type ProcessIdentity } from './process-identity.js';
import type { SystemUser } from './system-user.js';

export type Readiness =
  /** Polled until it returns true. It must not throw for "not yet". */
  | { readonly kind: 'probe'; readonly probe: () => Promise<boolean> }
  /** A line on standard output that says so. */
  | { readonly kind: 'line'; readonly matches: (line: string) => boolean };

/** Asks a running child whether it still does its work: a process that runs need not. */
export interface HealthCheck {
  /** It must not throw, and must answer within a time of its own. */
  readonly isHealthy: () => Promise<boolean>;
  readonly intervalMs: number;
  /** After so many refusals in a row the child is stopped and started anew. */
  readonly maxFailures: number;
}

/** All that is needed to start, watch and stop one child process. */
export interface ChildSpec {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** Another user to run as; undefined means the user of this process. */
  readonly user: SystemUser | undefined;
  /** Runs before each start, e.g. to remove what a killed predecessor left. */
  readonly prepare?: () => Promise<void>;
  /** Runs after each successful start. */
  readonly afterReady?: () => Promise<void>;
  readonly readiness: Readiness;
  readonly readyTimeoutMs: number;
  /** Undefined: a child that runs is taken to be healthy. */
  readonly health?: HealthCheck;
  readonly stop: readonly EndStep[];
}

export interface LogSink {
  write(chunk: string | Buffer): void;
}

export interface ExitInfo {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const MAX_TAIL_LINES = 20;
const PROBE_INTERVAL_MS = 100;

export class ManagedChild {
  #process: ChildProcess | undefined;
  #identity: ProcessIdentity | undefined;
  #exited: Promise<ExitInfo> | undefined;
  #exit: ExitInfo | undefined;
  #tail: string[] = [];

  constructor(
    readonly spec: ChildSpec,
    private readonly sink: LogSink,
    /** Called as soon as a process exists, before anything else can happen. */
    private readonly onLaunched: () => void = () => undefined,
  ) {}

  /** The process that runs now, or undefined. */
  get identity(): ProcessIdentity | undefined {
    return this.#exit === undefined ? this.#identity : undefined;
  }

  get pid(): number | undefined {
    return this.identity?.pid;
  }

  /** Resolves when the process started last has ended. */
  get exited(): Promise<ExitInfo> {
    return this.#exited ?? Promise.resolve({ code: null, signal: null });
  }

  /** Last lines that the process wrote, oldest first. */
  get tail(): readonly string[] {
    return this.#tail;
  }

  /** Spawns the process; resolves once it runs (not yet ready). */
  async launch(): Promise<void> {
    if (this.identity !== undefined) throw new Error(`${this.spec.name} is running already`);
    await this.spec.prepare?.();
    const { command, args, env, cwd, user } = this.spec;
    // A session of its own: Ctrl-C at the terminal must reach the supervisor alone, which then stops in order.
    const child = spawn(command, [...args], {
      env,
      cwd,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
    });
    this.#process = child;
    this.#exit = undefined;
    this.#identity = undefined;
    this.#tail = [];
    this.#exited = new Promise((resolve) => {
      const settle = (exit: ExitInfo): void => {
        this.#exit ??= exit;
        resolve(this.#exit);
      };
      child.once('exit', (code, signal) => settle({ code, signal }));
      child.once('error', (error) => {
        this.#note(`${this.spec.command}: ${error.message}`);
        if (child.pid === undefined) settle({ code: 127, signal: null });
      });
    });
    this.#collectOutput(child);
    if (child.pid !== undefined) this.#identity = identifyProcess(child.pid);
    this.onLaunched();
  }

  /** Launches and waits for readiness; throws `child-failed` or `child-not-ready`, and leaves no process behind. */
  async start(): Promise<void> {
    const lineSeen = this.#watchForLine();
    await this.launch();
    const deadline = Date.now() + this.spec.readyTimeoutMs;
    while (!(await this.#isReady(lineSeen))) {
      if (this.#exit !== undefined)
        throw this.#failure('child-failed', `ended before it was ready (${this.describeExit()})`);
      if (Date.now() > deadline) {
        await this.stop();
        throw this.#failure('child-not-ready', `was not ready after ${Math.round(this.spec.readyTimeoutMs / 1000)} s`);
      }
      await delay(PROBE_INTERVAL_MS);
    }
    await this.spec.afterReady?.();
  }

  async stop(): Promise<void> {
    for (const step of this.spec.stop) {
      if (this.#process === undefined || this.#exit !== undefined) return;
      this.#process.kill(step.signal);
      await this.#exitedWithin(step.waitMs);
    }
  }

  async #exitedWithin(waitMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<void>((resolve) => (timer = setTimeout(resolve, waitMs)));
    await Promise.race([this.exited, timeout]);
    clearTimeout(timer);
  }

  /** Sends one signal and, for SIGKILL, waits for the end. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    this.#process?.kill(signal);
    if (signal === 'SIGKILL' && this.#process !== undefined) await this.exited;
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  describeExit(): string {
    if (this.#exit === undefined) return 'running';
    return this.#exit.signal === null ? `exit code ${this.#exit.code}` : `signal ${this.#exit.signal}`;
  }

  #listener: ((line: string) => void) | undefined;

  #watchForLine(): { seen: boolean } {
    const state = { seen: false };
    const { readiness } = this.spec;
    if (readiness.kind === 'line') {
      this.#listener = (line) => {
        if (readiness.matches(line)) {
          state.seen = true;
          this.#listener = undefined;
        }
      };
    }
    return state;
  }

  async #isReady(lineSeen: { seen: boolean }): Promise<boolean> {
    if (this.#exit !== undefined) return false;
    return this.spec.readiness.kind === 'line' ? lineSeen.seen : this.spec.readiness.probe();
  }

  #collectOutput(child: ChildProcess): void {
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue;
      stream.on('data', (chunk: Buffer) => this.sink.write(chunk));
      createInterface({ input: stream, crlfDelay: Infinity }).on('line', (line) => {
        this.#note(line);
        if (stream === child.stdout) this.#listener?.(line);
      });
    }
  }

  #note(line: string): void {
    this.#tail.push(line.slice(0, 500));
    if (this.#tail.length > MAX_TAIL_LINES) this.#tail.shift();
  }

  #failure(code: string, what: string): FettleError {
    const tail = this.#tail.length === 0 ? '' : `; it said:\n${this.#tail.map((line) => `    ${line}`).join('\n')}`;
    return new FettleError({ code, message: `${this.spec.name} ${what}${tail}` });
  }
}
