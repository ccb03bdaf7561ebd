import { execFile, spawn } from 'node:child_process';
import {
  accessSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { FettleError } from '@fettle/contracts';
import { delay, errorCode } from './process-identity.js';

const run = promisify(execFile);

/** Server 1.29.1. What is downloaded is this release; what is built is this with a newer SQLite, see `GO_MODULE`. */
export const TEMPORAL_CLI_VERSION = 'v1.5.1';
/** The release carries modernc.org/sqlite v1.34.1, in which a statement given up by its caller can leave its connection interrupted. */
const SQLITE_VERSION = 'v1.44.3';
/** go.mod and go.sum of a module that has nothing but Temporal's CLI and that SQLite, so that each build has the same sums. */
const GO_MODULE = new URL('../../temporal-cli/', import.meta.url);
/** Older servers lack schedule and update features that the workflows use. */
const MIN_SERVER = [1, 27, 0] as const;
const GO_PACKAGE = 'github.com/temporalio/cli/cmd/temporal';
/** What `temporal --version` says; a build without it says 0.0.0-DEV. */
const GO_VERSION_VARIABLE = 'github.com/temporalio/cli/temporalcli.Version';
const DOWNLOAD_TIMEOUT_MS = 20_000;
const BUILD_TIMEOUT_MS = 30 * 60_000;
/** A build lock older than this belongs to a build that was killed. */
const STALE_LOCK_MS = BUILD_TIMEOUT_MS + 60_000;

export interface ObtainOptions {
  readonly env: NodeJS.ProcessEnv;
  /** Told what is tried and what came of it, a line each. */
  readonly report: (line: string) => void;
  /** Ends a download or a build that is under way. */
  readonly signal?: AbortSignal;
}

interface Attempt {
  readonly what: string;
  /** The executable, or why there is none. */
  readonly run: () => Promise<{ path: string } | { reason: string }>;
}

export function temporalCacheFolder(env: NodeJS.ProcessEnv): string {
  const base =
    env.XDG_CACHE_HOME !== undefined && env.XDG_CACHE_HOME !== '' ? env.XDG_CACHE_HOME : join(homedir(), '.cache');
  return join(base, 'fettle', 'temporal-cli', `${TEMPORAL_CLI_VERSION}-sqlite-${SQLITE_VERSION}`);
}

/** Finds or makes a usable `temporal` executable; tries the cheap ways first and says what each one found. */
export async function obtainTemporal(options: ObtainOptions): Promise<string> {
  const { env, report } = options;
  const cached = join(temporalCacheFolder(env), 'temporal');
  const named = env.FETTLE_TEMPORAL_CLI;
  if (named !== undefined && named !== '') {
    const usable = await checkUsable(named);
    if ('path' in usable) return usable.path;
    // A person named it: falling back to another silently would hide their mistake.
    throw new FettleError({
      code: 'no-temporal',
      message: `FETTLE_TEMPORAL_CLI names ${named}, which ${usable.reason}`,
      remedy: 'Correct or unset FETTLE_TEMPORAL_CLI.',
    });
  }
  const attempts: Attempt[] = [
    { what: '`temporal` on PATH', run: () => checkOnPath(env) },
    { what: `the cache (${cached})`, run: () => checkUsable(cached) },
    { what: "the SDK's own download", run: () => download(cached, options) },
    {
      what: `go build of ${GO_PACKAGE} ${TEMPORAL_CLI_VERSION} (about 5 minutes the first time)`,
      run: () => build(cached, options),
    },
  ];
  const tried: string[] = [];
  for (const attempt of attempts) {
    if (tried.length >= 2) report(`Temporal: trying ${attempt.what}`);
    options.signal?.throwIfAborted();
    const result = await attempt.run();
    if ('path' in result) return result.path;
    tried.push(`${attempt.what}: ${result.reason}`);
    if (tried.length > 2) report(`Temporal: ${attempt.what}: ${result.reason}`);
  }
  throw new FettleError({
    code: 'no-temporal',
    message: `no usable Temporal server was found or made. Tried FETTLE_TEMPORAL_CLI (not set); ${tried.join('; ')}`,
    remedy:
      'Install Go 1.21 or later (it fetches the 1.25 that it needs) and start again, or put a `temporal` executable on PATH (or name it in FETTLE_TEMPORAL_CLI), or set TEMPORAL_ADDRESS to a running server.',
  });
}

/** A usable executable that is there already (nothing is downloaded or built); undefined when there is none. */
export async function findTemporal(env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const named = env.FETTLE_TEMPORAL_CLI;
  const found =
    named !== undefined && named !== ''
      ? [await checkUsable(named)]
      : [await checkOnPath(env), await checkUsable(join(temporalCacheFolder(env), 'temporal'))];
  for (const result of found) if ('path' in result) return result.path;
  return undefined;
}

async function checkOnPath(env: NodeJS.ProcessEnv): Promise<{ path: string } | { reason: string }> {
  const folders = (env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  const path = folders.map((folder) => join(folder, 'temporal')).find(isExecutable);
  return path === undefined ? { reason: 'not found' } : checkUsable(path);
}

async function checkUsable(path: string): Promise<{ path: string } | { reason: string }> {
  if (!existsSync(path)) return { reason: 'does not exist' };
  if (!isExecutable(path)) return { reason: 'is not an executable file' };
  try {
    const { stdout } = await run(path, ['--version'], { timeout: 30_000 });
    const server = parseServerVersion(stdout);
    if (server === undefined) return { reason: `does not name its server version (${stdout.trim().slice(0, 80)})` };
    if (!isAtLeast(server, MIN_SERVER))
      return { reason: `carries server ${server.join('.')}, older than ${MIN_SERVER.join('.')}` };
    return { path };
  } catch (error) {
    return { reason: `does not run: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}` };
  }
}

/** From `temporal version 1.5.1 (Server 1.29.1, UI 2.42.1)`. */
export function parseServerVersion(text: string): number[] | undefined {
  const match = /Server (\d+)\.(\d+)\.(\d+)/.exec(text);
  return match ? match.slice(1, 4).map(Number) : undefined;
}

export function isAtLeast(version: readonly number[], minimum: readonly number[]): boolean {
  for (const [index, wanted] of minimum.entries()) {
    const actual = version[index] ?? 0;
    if (actual !== wanted) return actual > wanted;
  }
  return true;
}

/** The SDK's native bridge can download the CLI; it runs in a process of its own, because it cannot be interrupted. */
async function download(
  cached: string,
  { env, signal }: ObtainOptions,
): Promise<{ path: string } | { reason: string }> {
  const folder = makeScratchFolder(cached);
  try {
    const script = fileURLToPath(new URL('./download-temporal.js', import.meta.url));
    const { stdout } = await run(process.execPath, [script, folder, TEMPORAL_CLI_VERSION], {
      env,
      timeout: DOWNLOAD_TIMEOUT_MS,
      signal,
    });
    const usable = await checkUsable(stdout.trim());
    if ('path' in usable) renameSync(usable.path, cached);
    return 'path' in usable ? { path: cached } : usable;
  } catch (error) {
    return { reason: downloadFailure(error) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function downloadFailure(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'killed' in error && error.killed === true) {
    return `gave nothing within ${DOWNLOAD_TIMEOUT_MS / 1000} s`;
  }
  const stderr =
    typeof error === 'object' && error !== null && 'stderr' in error ? String(error.stderr).trim() : String(error);
  return `failed (${(stderr.split('\n').at(-1) ?? '').slice(0, 160)})`;
}

async function build(cached: string, options: ObtainOptions): Promise<{ path: string } | { reason: string }> {
  const unlock = await lockBuild(cached, options);
  const folder = makeScratchFolder(cached);
  try {
    // Another start may have built it while this one waited.
    const meanwhile = await checkUsable(cached);
    if ('path' in meanwhile) return meanwhile;
    const failure = await goBuild(folder, options);
    if (failure !== undefined) return { reason: failure };
    const usable = await checkUsable(join(folder, 'temporal'));
    if ('path' in usable) renameSync(usable.path, cached);
    return 'path' in usable ? { path: cached } : usable;
  } finally {
    rmSync(folder, { recursive: true, force: true });
    unlock();
  }
}

/** @returns why it failed, or undefined. */
function goBuild(folder: string, { env, report, signal }: ObtainOptions): Promise<string | undefined> {
  // In the scratch folder, so that no go.work above Fettle's own folder has a say.
  for (const file of ['go.mod', 'go.sum']) copyFileSync(new URL(file, GO_MODULE), join(folder, file));
  const named = ['-ldflags', `-X ${GO_VERSION_VARIABLE}=${TEMPORAL_CLI_VERSION.slice(1)}`];
  return new Promise((resolve) => {
    const child = spawn('go', ['build', '-trimpath', ...named, '-o', 'temporal', GO_PACKAGE], {
      cwd: folder,
      env: { ...env, GOFLAGS: '-mod=readonly', GOWORK: 'off' },
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: BUILD_TIMEOUT_MS,
      signal,
    });
    const startedAtMs = Date.now();
    const ticker = setInterval(() => {
      report(`Temporal: still building after ${Math.round((Date.now() - startedAtMs) / 1000)} s`);
    }, 30_000);
    let tail = '';
    child.stderr.on('data', (chunk: Buffer) => void (tail = `${tail}${chunk.toString()}`.slice(-1000)));
    const finish = (failure: string | undefined): void => {
      clearInterval(ticker);
      resolve(failure);
    };
    child.once('error', (error) => finish(errorCode(error) === 'ENOENT' ? 'Go is not installed' : error.message));
    child.once('close', (code) =>
      finish(code === 0 ? undefined : `exit code ${code}: ${tail.trim().split('\n').slice(-3).join(' | ')}`),
    );
  });
}

/** One build at a time for a cache: a second start waits for the first instead of building the same again. */
async function lockBuild(cached: string, { report, signal }: ObtainOptions): Promise<() => void> {
  const lockFile = `${cached}.lock`;
  for (let waited = false; ; waited = true) {
    signal?.throwIfAborted();
    try {
      writeFileSync(lockFile, `${process.pid}\n`, { flag: 'wx' });
      return () => rmSync(lockFile, { force: true });
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw error;
    }
    if (ageMs(lockFile) > STALE_LOCK_MS || !holderLives(lockFile)) rmSync(lockFile, { force: true });
    else {
      if (!waited) report('Temporal: another start is building it; waiting');
      await delay(1000);
    }
  }
}

function holderLives(lockFile: string): boolean {
  try {
    const pid = Number(readFileSync(lockFile, 'utf8'));
    if (!Number.isSafeInteger(pid) || pid <= 0) return ageMs(lockFile) < 5000;
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) === 'EPERM';
  }
}

function ageMs(file: string): number {
  try {
    return Date.now() - statSync(file).mtimeMs;
  } catch {
    return 0;
  }
}

function makeScratchFolder(cached: string): string {
  const parent = join(cached, '..');
  mkdirSync(parent, { recursive: true });
  return mkdtempSync(join(parent, 'making-'));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
