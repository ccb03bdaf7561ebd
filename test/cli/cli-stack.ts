import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { capture, type CapturedRun, type CaptureOptions } from '../../apps/cli/dist/session/testing/capture-host.js';
import { ApiProcess } from '../support/api-process.js';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

const program = fileURLToPath(new URL('../../apps/cli/bin/fettle.mjs', import.meta.url));

/** Everything a command line meets: API, worker, Temporal, Postgres and hosts, all real. */
export class CliStack {
  private constructor(
    readonly stack: TestStack,
    readonly sshd: Sshd,
    private worker: WorkerProcess,
    public api: ApiProcess,
    /** For the files that commands read. */
    readonly folder: string,
  ) {}

  static async start(hosts: number): Promise<CliStack> {
    const [stack, sshd] = await Promise.all([TestStack.create(), startSshd()]);
    await stack.addHosts(sshd, hosts);
    // The worker keeps its checkpoints in the folder `audit` of the data directory: the key must not lie in its place.
    const dataDir = stack.environment.FETTLE_DATA_DIR ?? '';
    const key = stack.environment.FETTLE_AUDIT_KEY_FILE ?? '';
    stack.environment.FETTLE_AUDIT_KEY_FILE = join(dataDir, 'audit.pem');
    await rename(key, stack.environment.FETTLE_AUDIT_KEY_FILE);
    const folder = await mkdtemp(join(tmpdir(), 'fettle-cli-'));
    const [worker, api] = await Promise.all([stack.startWorker(), ApiProcess.start(stack.environment)]);
    return new CliStack(stack, sshd, worker, api, folder);
  }

  get dataDir(): string {
    return this.stack.environment.FETTLE_DATA_DIR ?? '';
  }

  get env(): NodeJS.ProcessEnv {
    return { FETTLE_URL: this.api.url, FETTLE_TOKEN: this.api.token };
  }

  /** One command line in this process. */
  fettle(args: readonly string[], options: CaptureOptions = {}): Promise<CapturedRun> {
    return capture(args, { ...options, env: { ...this.env, ...options.env } });
  }

  /** The same, which must end with 0; its JSON. */
  async json<Value>(...args: string[]): Promise<Value> {
    // Not at the end: what stands after `--` is a command of the hosts.
    const at = args.includes('--') ? args.indexOf('--') : args.length;
    const result = await this.fettle(args.toSpliced(at, 0, '-o', 'json'));
    if (result.exitCode !== 0) throw new Error(`fettle ${args.join(' ')}: ${result.exitCode}\n${result.stderr}`);
    return JSON.parse(result.stdout) as Value;
  }

  /** The real program, as a process that can be sent signals. */
  spawn(args: readonly string[]): FettleProcess {
    return new FettleProcess(
      spawn(process.execPath, [program, ...args], {
        env: { PATH: process.env.PATH, ...this.env },
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
  }

  async restartWorker(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.worker.stop(signal);
    this.worker = await this.stack.startWorker();
  }

  async write(name: string, text: string): Promise<string> {
    const file = join(this.folder, name);
    await writeFile(file, text);
    return file;
  }

  async stop(): Promise<void> {
    await this.api.stop();
    await this.worker.stop();
    await this.sshd.stop();
    await this.stack.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}

export class FettleProcess {
  stdout = '';
  stderr = '';
  readonly ended: Promise<number | null>;

  constructor(private readonly child: ChildProcess) {
    child.stdout?.on('data', (part: Buffer) => (this.stdout += part.toString()));
    child.stderr?.on('data', (part: Buffer) => (this.stderr += part.toString()));
    this.ended = new Promise((resolve) => child.once('close', (code) => resolve(code)));
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Waits until it has said something. */
  async said(pattern: RegExp, timeoutMs = 30_000): Promise<void> {
    const giveUpAtMs = Date.now() + timeoutMs;
    while (!pattern.test(this.stdout + this.stderr)) {
      if (Date.now() > giveUpAtMs) throw new Error(`not said: ${String(pattern)}\n${this.stdout}${this.stderr}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
