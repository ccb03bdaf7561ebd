// Temporal's production server and its schema tool, built from their Go module into the project's cache: under six minutes the
// first time on a quiet machine. No registry for Node and no Debian package carries them.
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { StageError } from './stages.mjs';

const run = promisify(execFile);

export const SERVER_VERSION = 'v1.29.1';
const MODULE = 'go.temporal.io/server';
const BUILD_TIMEOUT_MS = 30 * 60_000;
const TICK_MS = 30_000;

/**
 * Finds or builds them.
 * @param {{env: NodeJS.ProcessEnv, say: (line: string) => void}} options
 * @returns {Promise<{server: string, sqlTool: string, schemaFolder: string}>} absolute paths
 */
export async function obtainTemporalServer({ env, say }) {
  const cache = join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'fettle', 'temporal-server', SERVER_VERSION);
  const found = filesIn(cache);
  if (await isUsable(found)) return found;
  say(`Temporal's server ${SERVER_VERSION}: building it with Go (under 6 minutes the first time)`);
  mkdirSync(dirname(cache), { recursive: true });
  const folder = mkdtempSync(join(dirname(cache), 'making-'));
  try {
    await build(folder, { env, say });
    if (!(await isUsable(filesIn(folder)))) throw new StageError("Temporal's server was built but does not run");
    // Whole or not at all: what is half built never stands in the cache.
    rmSync(cache, { recursive: true, force: true });
    renameSync(folder, cache);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return filesIn(cache);
}

function filesIn(folder) {
  return {
    server: join(folder, 'server'),
    sqlTool: join(folder, 'sql'),
    schemaFolder: join(folder, 'schema', 'postgresql', 'v12'),
  };
}

async function isUsable({ server, sqlTool, schemaFolder }) {
  if (![server, sqlTool, schemaFolder].every((path) => existsSync(path))) return false;
  const { stdout } = await run(server, ['--version'], { timeout: 30_000 }).catch(() => ({ stdout: '' }));
  return stdout.includes(SERVER_VERSION.slice(1));
}

async function build(folder, { env, say }) {
  const startedAtMs = Date.now();
  const ticker = setInterval(() => {
    say(`Temporal's server: still building after ${Math.round((Date.now() - startedAtMs) / 1000)} s`);
  }, TICK_MS);
  const options = { env: { ...env, GOBIN: folder, GOFLAGS: '' }, timeout: BUILD_TIMEOUT_MS, maxBuffer: 64 * 2 ** 20 };
  try {
    const packages = ['cmd/server', 'cmd/tools/sql'].map((path) => `${MODULE}/${path}@${SERVER_VERSION}`);
    await run('go', ['install', ...packages], options);
    // The schema's files are part of the module; the cache keeps its own copy, because Go's may be cleaned.
    const { stdout } = await run('go', ['mod', 'download', '-json', `${MODULE}@${SERVER_VERSION}`], options);
    const schema = join(JSON.parse(stdout).Dir, 'schema', 'postgresql', 'v12');
    cpSync(schema, filesIn(folder).schemaFolder, { recursive: true });
  } catch (error) {
    throw new StageError(`Temporal's server could not be built: ${failureText(error)}`);
  } finally {
    clearInterval(ticker);
  }
}

function failureText(error) {
  if (error.code === 'ENOENT') return 'Go is not installed. Install Go 1.21 or later.';
  return String(error.stderr || error.message)
    .trim()
    .split('\n')
    .slice(-3)
    .join(' | ');
}
