import { spawn, type ChildProcess } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  chownSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { CHECKOUT, dataDirAt } from '../../apps/cli/dist/up/data-dir.js';
import { delay, endProcess, isStillRunning } from '../../apps/cli/dist/up/process-identity.js';
import { readState, type StackState } from '../../apps/cli/dist/up/stack-state.js';
import { canEnter, type SystemUser } from '../../apps/cli/dist/up/system-user.js';
import { findTemporal } from '../../apps/cli/dist/up/temporal-binary.js';

const UP_PROGRAM = 'test/start/fixtures/up.mjs';

/** What the fixture program up.mjs takes: options of `fettle up`, and the names of the programs it supervises. */
export interface UpFixtureOptions {
  readonly port?: number;
  readonly detach?: boolean;
  readonly demo?: boolean;
  readonly apiProgram?: string;
  readonly workerProgram?: string;
}

/** A data directory in a folder of its own, and the processes of `fettle up` started on it; `close` leaves nothing. */
export class UpHarness {
  readonly folder: string;
  readonly dataDir: string;
  readonly #processes: UpProcess[] = [];

  constructor(private readonly options: { folderMode: number; user?: SystemUser }) {
    this.folder = mkdtempSync(join(tmpdir(), 'fettle-up-test-'));
    chmodSync(this.folder, options.folderMode);
    this.dataDir = join(this.folder, 'data');
    if (options.user !== undefined) chownSync(this.folder, options.user.uid, options.user.gid);
  }

  async up(given: UpFixtureOptions = {}, environment: NodeJS.ProcessEnv = {}): Promise<UpProcess> {
    const json = JSON.stringify({ dataDir: this.dataDir, port: 0, ...given });
    const env = { ...(await this.#environment()), ...environment };
    const { user } = this.options;
    const child =
      user === undefined
        ? spawn(process.execPath, [join(CHECKOUT, UP_PROGRAM), json], { env })
        : spawnAs(user, this.folder, json, env);
    const process_ = new UpProcess(child);
    this.#processes.push(process_);
    return process_;
  }

  state(): StackState | undefined {
    return readState(dataDirAt(this.dataDir));
  }

  /** The process number of a child, once it runs and, if given, is not the earlier one. */
  async pidOf(name: string, notPid?: number): Promise<number> {
    return eventually(`${name} runs`, () => {
      const found = this.state()?.children.find((child) => child.name === name && isStillRunning(child));
      return found === undefined || found.pid === notPid ? undefined : found.pid;
    });
  }

  async close(): Promise<void> {
    for (const { child } of this.#processes) child.kill('SIGKILL');
    for (const child of this.state()?.children ?? []) await endProcess(child, [{ signal: 'SIGKILL', waitMs: 5000 }]);
    const supervisor = this.state()?.supervisor;
    if (supervisor !== undefined) await endProcess(supervisor, [{ signal: 'SIGKILL', waitMs: 5000 }]);
    const elsewhere = this.databaseElsewhere();
    if (elsewhere !== undefined) rmSync(dirname(elsewhere), { recursive: true, force: true });
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** The database's folder where it does not lie in the data directory. */
  databaseElsewhere(): string | undefined {
    const record = join(this.dataDir, 'postgres-folder');
    return existsSync(record) ? readFileSync(record, 'utf8').trim() : undefined;
  }

  async #environment(): Promise<NodeJS.ProcessEnv> {
    const temporal = await findTemporal(process.env);
    if (temporal === undefined) throw new Error('no Temporal executable: `npm test` obtains it');
    let path = temporal;
    if (this.options.user !== undefined) {
      // The cache lies in root's home, which the ordinary user cannot enter.
      path = join(this.folder, 'temporal-cli');
      if (!existsSync(path)) linkOrCopy(temporal, path);
    }
    return { PATH: process.env.PATH, HOME: this.folder, LC_ALL: 'C.UTF-8', FETTLE_TEMPORAL_CLI: path };
  }
}

export class UpProcess {
  #text = '';
  readonly exited: Promise<number | null>;

  constructor(readonly child: ChildProcess) {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => (this.#text += chunk.toString()));
    }
    this.exited = new Promise((resolve) => child.once('close', (code) => resolve(code)));
  }

  /** All that it has written so far. */
  get text(): string {
    return this.#text;
  }

  async says(what: string, timeoutMs = 60_000): Promise<void> {
    await eventually(
      `"${what}" in the output:\n`,
      () => (this.#text.includes(what) ? true : undefined),
      timeoutMs,
      () => this.#text,
    );
  }

  async ready(): Promise<void> {
    await this.says('Fettle is up');
  }

  /** As Ctrl-C does. @returns the exit code. */
  async interrupt(): Promise<number | null> {
    this.child.kill('SIGINT');
    return this.exited;
  }
}

/** Polls until there is a value; a failure tells what was waited for. */
export async function eventually<Value>(
  what: string,
  look: () => Value | undefined,
  timeoutMs = 30_000,
  context: () => string = () => '',
): Promise<Value> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = look();
    if (value !== undefined) return value;
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms for ${what}${context()}`);
    await delay(50);
  }
}

/** Runs the fixture as another user; a checkout that only root may enter is bind-mounted where that user can. */
function spawnAs(user: SystemUser, folder: string, json: string, env: NodeJS.ProcessEnv): ChildProcess {
  const identity = { uid: user.uid, gid: user.gid, cwd: folder, env };
  if (canEnter(CHECKOUT, user)) return spawn(process.execPath, [join(CHECKOUT, UP_PROGRAM), json], identity);
  const mountPoint = join(folder, 'checkout');
  mkdirSync(mountPoint, { recursive: true });
  const script = 'mount --bind "$1" "$2" && exec setpriv --reuid="$3" --regid="$4" --clear-groups "$5" "$2/$6" "$7"';
  const args = [CHECKOUT, mountPoint, String(user.uid), String(user.gid), process.execPath, UP_PROGRAM, json];
  return spawn('unshare', ['--mount', 'sh', '-c', script, 'sh', ...args], { cwd: folder, env });
}

function linkOrCopy(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to);
    chmodSync(to, 0o755);
  }
}
