import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Sample } from '../report.js';

const run = promisify(execFile);
const INSTALL_TIMEOUT_MS = 600_000;
const RUN_TIMEOUT_MS = 600_000;
/** More at once only wait for each other's locks in its SQLite. */
export const PREFECT_AT_ONCE = 4;
const folder = fileURLToPath(new URL('.', import.meta.url));

export interface Peer {
  readonly name: string;
  /** Runs `runs` flows of three steps, up to `atOnce` at a time, in a process of its own. */
  measure(runs: number, atOnce: number, databaseUrl: string): Promise<Sample>;
}

/** A folder that is made once for each content of the file that pins the versions and their hashes. */
async function cached(name: string, pins: string, make: (directory: string) => Promise<void>): Promise<string> {
  const digest = createHash('sha256')
    .update(await readFile(pins))
    .digest('hex')
    .slice(0, 16);
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'fettle', 'bench');
  const directory = join(cache, `${name}-${digest}`);
  if (await stat(join(directory, 'complete')).catch(() => null)) return directory;
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true });
  await make(directory);
  await mkdir(join(directory, 'complete.new'));
  await rename(join(directory, 'complete.new'), join(directory, 'complete'));
  return directory;
}

async function measured(
  command: string,
  argv: readonly string[],
  options: { readonly cwd?: string; readonly env: Record<string, string> },
): Promise<Sample> {
  const { stdout } = await run(command, [...argv], {
    ...options,
    env: { ...process.env, NODE_OPTIONS: '', ...options.env },
    timeout: RUN_TIMEOUT_MS,
    maxBuffer: 64 * 1024 * 1024,
  });
  const { wallMs, cpuMs } = JSON.parse(stdout.trim().split('\n').at(-1)!) as Sample;
  return { wallMs, cpuMs };
}

/** Prefect from PyPI, with the server that it starts beside the flow and its SQLite file. */
export async function preparePrefect(): Promise<Peer> {
  const pins = join(folder, 'prefect', 'requirements.txt');
  const directory = await cached('prefect', pins, async (into) => {
    await run('python3', ['-m', 'venv', join(into, 'venv')], { timeout: INSTALL_TIMEOUT_MS });
    const install = ['install', '--quiet', '--require-hashes', '--only-binary', ':all:', '--requirement', pins];
    await run(join(into, 'venv', 'bin', 'pip'), install, { timeout: INSTALL_TIMEOUT_MS });
  });
  return {
    name: 'Prefect 3.4.24',
    async measure(runs, atOnce) {
      const home = join(directory, `home-${process.pid}`);
      await rm(home, { recursive: true, force: true });
      const env = {
        ...{
          RUNS: String(runs),
          AT_ONCE: String(Math.min(atOnce, PREFECT_AT_ONCE)),
          PREFECT_HOME: home,
          DO_NOT_TRACK: '1',
        },
        ...{ PREFECT_SERVER_ANALYTICS_ENABLED: 'false', PREFECT_LOGGING_LEVEL: 'ERROR' },
        ...{ PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: '120' },
        // Its SQLite is locked for longer than it waits by default, and the run would end with 503.
        ...{ PREFECT_SERVER_DATABASE_TIMEOUT: '120', PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT: '120' },
        ...{ PREFECT_CLIENT_MAX_RETRIES: '50' },
      };
      try {
        const python = join(directory, 'venv', 'bin', 'python');
        return await measured(python, [join(folder, 'prefect', 'three_steps.py')], { env });
      } finally {
        await rm(home, { recursive: true, force: true });
      }
    },
  };
}

/** DBOS from npm, with its tables in a database of the bench's Postgres. */
export async function prepareDbos(): Promise<Peer> {
  const source = join(folder, 'dbos');
  const directory = await cached('dbos', join(source, 'package-lock.json'), async (into) => {
    for (const name of ['package.json', 'package-lock.json']) await cp(join(source, name), join(into, name));
    await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: into, timeout: INSTALL_TIMEOUT_MS });
  });
  return {
    name: 'DBOS 5.3.0',
    async measure(runs, atOnce, databaseUrl) {
      // Beside its modules: Node looks for them from the file that imports them.
      await cp(join(source, 'three-steps.mjs'), join(directory, 'three-steps.mjs'));
      const env = { RUNS: String(runs), AT_ONCE: String(atOnce), DATABASE_URL: databaseUrl };
      return measured(process.execPath, ['three-steps.mjs'], { cwd: directory, env });
    },
  };
}
