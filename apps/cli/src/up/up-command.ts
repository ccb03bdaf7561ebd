import { join } from 'node:path';
import { DEFAULT_HOST, DEFAULT_PORT } from '@fettle/config';
import { FettleError } from '@fettle/contracts';
import { checkDisk, checkLocale, checkPort, type PreflightResult } from '../../preflight.mjs';
import { createDataDir, resolveDataDir, type DataDir } from './data-dir.js';
import { DEMO_JOB, type DemoJob, type DemoOptions } from './demo.js';
import { upDetached } from './detached.js';
import { Interruption } from './interruption.js';
import { EXIT, printError, Progress, type Output } from './output.js';
import { describePortHolder, findFreePort } from './ports.js';
import { identifyProcess } from './process-identity.js';
import { RotatingLog } from './rotating-log.js';
import { ensureSecrets, type LocalSecrets } from './secrets.js';
import { localUrl, PROGRAMS, startStack, type StackPrograms } from './stack.js';
import { acquireLock, endOrphans, writeState, type StackState } from './stack-state.js';
import { Supervisor } from './supervisor.js';
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface UpOptions {
  readonly dataDir?: string | undefined;
  /** Default 7070; 0 lets the machine choose. */
  readonly port?: number | undefined;
  /** Default 127.0.0.1. */
  readonly host?: string | undefined;
  /** Default true. */
  readonly demo?: boolean | undefined;
  /** Return when ready, leave the stack running. */
  readonly detach?: boolean | undefined;
  /** Run the demo job, print its result, stop everything. */
  readonly once?: boolean | undefined;
  /** Do not print the summary with the sign-in token: set for the process behind `--detach`, whose output goes to a log. */
  readonly hideToken?: boolean | undefined;
  readonly programs?: StackPrograms | undefined;
  readonly job?: DemoJob | undefined;
}

/** Where npm links `fettle` in this checkout. */
const BIN = fileURLToPath(new URL('../../../../node_modules/.bin', import.meta.url));

/**
 * `fettle up`: starts the local stack and serves until Ctrl-C, SIGTERM or `fettle down`.
 * @returns 0 stopped in order (with `once`: the demo ended as it should), 1 error or already running, 2 wrong options,
 * 6 the demo did not end as it should, 130 interrupted before it was ready or twice.
 */
export async function upCommand(
  options: UpOptions,
  output: Output,
  env: NodeJS.ProcessEnv = process.env,
): Promise<number> {
  const wrong = wrongOptions(options);
  if (wrong !== undefined) {
    output.stderr.write(`fettle up: ${wrong}\n`);
    return EXIT.usage;
  }
  const dataDir = resolveDataDir(options.dataDir, env);
  try {
    if (options.detach === true) return await upDetached(options, dataDir, output, env);
    createDataDir(dataDir);
    const lock = acquireLock(dataDir);
    try {
      return await new LocalStackRun(options, dataDir, output, env).run();
    } finally {
      lock.release();
    }
  } catch (error) {
    printError(output, error);
    return EXIT.error;
  }
}

function wrongOptions(options: UpOptions): string | undefined {
  if (options.once === true && options.demo === false) return '--once runs the demo job, so it excludes --no-demo';
  if (options.once === true && options.detach === true)
    return '--once stops everything at its end, so it excludes --detach';
  const { port } = options;
  if (port !== undefined && !(Number.isInteger(port) && port >= 0 && port <= 65_535))
    return '--port is a number from 0 to 65535';
  return undefined;
}

class LocalStackRun {
  readonly #progress: Progress;
  readonly #interruption = new Interruption();
  readonly #supervisor: Supervisor;
  #state: StackState | undefined;

  constructor(
    private readonly options: UpOptions,
    private readonly dataDir: DataDir,
    private readonly output: Output,
    private readonly env: NodeJS.ProcessEnv,
  ) {
    this.#progress = new Progress(output.stderr);
    this.#supervisor = new Supervisor({
      logFor: (name) => new RotatingLog(join(dataDir.logs, `${name}.log`)),
      report: (line) => this.#progress.say(line),
      onChange: (children) => this.#record({ children: [...children] }),
    });
  }

  async run(): Promise<number> {
    try {
      const work = this.#startAndServe();
      // Whatever the start waits for may end in an error of its own once everything stops.
      work.catch(() => undefined);
      const ended = await Promise.race([work, this.#interruption.requested, this.#supervisor.gaveUp]);
      if (ended instanceof FettleError) throw ended;
      if (ended !== 'interrupted') return ended;
      const wasReady = this.#state?.phase === 'ready';
      this.#progress.say('stopping (again to force)');
      return wasReady && this.options.once !== true ? EXIT.ok : EXIT.interrupted;
    } catch (error) {
      printError(this.output, error);
      return EXIT.error;
    } finally {
      await this.#stop();
    }
  }

  async #startAndServe(): Promise<number> {
    const { dataDir, env, options } = this;
    await endOrphans(dataDir, (line) => this.#progress.say(line));
    const host = options.host ?? nonEmpty(env.FETTLE_HOST) ?? DEFAULT_HOST;
    const wanted = options.port ?? Number(nonEmpty(env.FETTLE_PORT) ?? DEFAULT_PORT);
    await this.#preflight(host, wanted);
    const port = wanted === 0 ? await findFreePort() : wanted;
    const url = localUrl(host, port);
    this.#begin(url);
    const secrets = await ensureSecrets(dataDir);
    const demo = options.demo ?? true;
    const programs = options.programs ?? PROGRAMS;
    const { signal } = this.#interruption;
    await startStack(this.#supervisor, {
      dataDir,
      env,
      host,
      port,
      demo,
      programs,
      secrets,
      progress: this.#progress,
      signal,
    });
    const isTerminal = this.output.stderr.isTTY === true;
    const demoOptions: DemoOptions = {
      ...{ url, token: secrets.token, dataDir: dataDir.path },
      ...{ output: this.output, isTerminal, signal },
    };
    const job = options.job ?? DEMO_JOB;
    if (demo) await job.load(demoOptions);
    this.#record({ phase: 'ready' });
    this.#progress.say('everything is ready');
    if (options.once === true) return (await job.run(demoOptions)) ? EXIT.ok : EXIT.runFailed;
    try {
      const earlier = await job.showEarlierRuns(demoOptions);
      if (demo && earlier === 0) await job.run(demoOptions);
    } catch (error) {
      // What is up stays up: the person can look into it with the stack at hand.
      if (!signal.aborted) printError(this.output, error);
    }
    // Behind --detach the parent prints it, with the token, where the person looks.
    if (options.hideToken !== true) this.#printSummary(url, secrets);
    return new Promise(() => undefined);
  }

  async #preflight(host: string, port: number): Promise<void> {
    const results: PreflightResult[] = [checkDisk(this.dataDir.path, 'run'), checkLocale(this.env)];
    results.push(await checkPort(port, host, describePortHolder));
    for (const { ok, detail, remedy, fatal } of results) {
      if (ok) continue;
      if (fatal) throw new FettleError({ code: 'preflight', message: detail, remedy });
      this.#progress.say(`note: ${detail}. ${remedy}`);
    }
  }

  #begin(url: string): void {
    const supervisor = identifyProcess(process.pid);
    if (supervisor === undefined) throw new Error('this process cannot be identified');
    const startedAt = new Date().toISOString();
    this.#state = { supervisor, phase: 'starting', url, dataDir: this.dataDir.path, startedAt, children: [] };
    writeState(this.dataDir, this.#state);
    this.#progress.say(`starting in ${this.dataDir.path}`);
  }

  #record(change: Partial<StackState>): void {
    if (this.#state === undefined) return;
    this.#state = { ...this.#state, ...change };
    writeState(this.dataDir, this.#state);
  }

  #printSummary(url: string, secrets: LocalSecrets): void {
    // Whoever calls fettle without it looks for the stack of this checkout.
    const { path } = this.dataDir;
    const isOwn = path === resolveDataDir(undefined, process.env).path;
    const where = isOwn ? '' : ` --data-dir ${path}`;
    const lines = [
      '',
      `Fettle is up: ${url}`,
      `  sign-in token  ${secrets.token}`,
      `  data           ${this.dataDir.path} (the token is in the file token)`,
      `  try            npx fettle run list${where}; npx fettle asset list${where}`,
      `  command        messages call it fettle; so may you after: export PATH="${BIN}:$PATH"`,
      '  stop           Ctrl-C (the data is kept)',
    ];
    this.output.stdout.write(`${lines.join('\n')}\n`);
  }

  async #stop(): Promise<void> {
    this.#interruption.abort();
    this.#record({ phase: 'stopping' });
    const forced = await Promise.race([this.#supervisor.stopAll(), this.#interruption.forced]);
    if (forced === 'forced') {
      await this.#supervisor.killAll();
      await this.#supervisor.stopAll();
    }
    if (this.#state !== undefined) {
      this.#state = undefined;
      rmSync(this.dataDir.stateFile, { force: true });
      this.#progress.say('stopped; the data is kept');
    }
    this.#interruption.dispose();
  }
}

function nonEmpty(value: string | undefined): string | undefined {
  return value === '' ? undefined : value;
}
