// What start, build, test and check share: staged progress, installing and building only what is not up to date.
// Plain Node without dependencies: it runs before node_modules exists.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..');

const CACHE = join(root, '.cache');
const BUILD_MARKER = join(CACHE, 'build');
const LOCK = join(CACHE, 'setup.lock');
const TICK_MS = 15_000;

/** A line on stderr that starts with the seconds since this process began. */
export function say(line) {
  const seconds = ((Date.now() - performance.timeOrigin) / 1000).toFixed(1);
  process.stderr.write(`[${seconds.padStart(6)} s] ${line}\n`);
}

/** An error whose message is for a person and needs no stack. */
export class StageError extends Error {}

/** Runs a command quietly and says now and then that it still runs; its output is shown only when it fails. */
export async function runQuietly(what, command, args, options = {}) {
  say(what);
  const startedAtMs = Date.now();
  const ticker = setInterval(
    () => say(`${what}: still at it after ${Math.round((Date.now() - startedAtMs) / 1000)} s`),
    TICK_MS,
  );
  let output = '';
  try {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], ...options });
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => (output = (output + chunk).slice(-20_000)));
    const code = await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (status, signal) => resolve(signal ?? status));
    });
    if (code !== 0) throw new StageError(`${what}: failed (${code})\n${output.trimEnd()}`);
  } finally {
    clearInterval(ticker);
  }
  return output;
}

/** Whether node_modules holds what the lockfile says: compared package by package, so no marker can lie. */
export function isInstalled() {
  const installed = readJson(join(root, 'node_modules/.package-lock.json'))?.packages;
  const locked = readJson(join(root, 'package-lock.json'))?.packages;
  if (!installed || !locked) return false;
  for (const [path, wanted] of Object.entries(locked)) {
    if (!path.startsWith('node_modules/') && !path.includes('/node_modules/')) continue;
    const found = installed[path];
    // Packages for other platforms are left out by npm.
    if (!found && (wanted.optional || wanted.devOptional || wanted.peer) && !isForThisPlatform(wanted)) continue;
    if (!found || found.version !== wanted.version || found.integrity !== wanted.integrity) return false;
    if (!existsSync(join(root, path))) return false;
  }
  return true;
}

function isForThisPlatform({ os, cpu, libc }) {
  const fits = (list, value) =>
    !list ||
    (list.includes(value) && !list.includes(`!${value}`)) ||
    list.every((entry) => entry.startsWith('!') && entry !== `!${value}`);
  const own = existsSync('/lib/ld-musl-x86_64.so.1') || existsSync('/lib/ld-musl-aarch64.so.1') ? 'musl' : 'glibc';
  return (
    Boolean(os ?? cpu ?? libc) &&
    fits(os, process.platform) &&
    fits(cpu, process.arch) &&
    (process.platform !== 'linux' || fits(libc, own))
  );
}

/**
 * `npm install --no-save` and not `npm ci`: it keeps what is there, changes neither package.json nor the lockfile, and takes
 * the same versions with the same integrity. `npm ci` refuses a lockfile made where optional packages for other platforms
 * cannot be fetched.
 */
export async function install() {
  await runQuietly(
    'installing the packages that package-lock.json names',
    'npm',
    ['install', '--no-save', '--no-audit', '--no-fund'],
    {
      env: withoutScriptSettings(process.env),
    },
  );
  if (!isInstalled())
    throw new StageError('npm has not installed what package-lock.json names: remove node_modules and try again');
}

/** What npm tells its scripts about themselves would mislead a second npm. */
function withoutScriptSettings(env) {
  return Object.fromEntries(
    Object.entries(env).filter(
      ([name]) => !/^npm_(lifecycle|package|command|config_(local_prefix|workspaces?|include_workspace))/i.test(name),
    ),
  );
}

/** Whether the built files come from the present sources: their names, sizes and times, and the lockfile. */
export function isBuilt() {
  if (!existsSync(BUILD_MARKER) || readFileSync(BUILD_MARKER, 'utf8') !== sourceStamp()) return false;
  return projectFolders().every((folder) => existsSync(join(root, folder, 'dist')));
}

export async function build() {
  const stamp = sourceStamp();
  rmSync(BUILD_MARKER, { force: true });
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  // In two processes: from nothing, one process looks for operations before it has built them (activities' contracts come
  // before, activities after, in one folder) and goes on believing that they are not there.
  await runQuietly('compiling the libraries (tsc -b)', process.execPath, [tsc, '-b', 'libs/operations']);
  await runQuietly('compiling the programs (tsc -b)', process.execPath, [tsc, '-b']);
  if (existsSync(join(root, 'workflows/bundle.mjs'))) {
    await runQuietly('bundling the workflows', process.execPath, [join(root, 'workflows/bundle.mjs')]);
  }
  mkdirSync(CACHE, { recursive: true });
  writeFileSync(BUILD_MARKER, stamp);
}

/** Installs and builds what is missing or stale; two at once wait for each other. */
export async function setUp() {
  if (isInstalled() && isBuilt()) return;
  const unlock = await lockSetup();
  try {
    if (!isInstalled()) await install();
    if (!isBuilt()) await build();
  } finally {
    unlock();
  }
}

async function lockSetup() {
  mkdirSync(CACHE, { recursive: true });
  for (let told = false; ; told = true) {
    try {
      writeFileSync(LOCK, String(process.pid), { flag: 'wx' });
      return () => rmSync(LOCK, { force: true });
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const holder = Number(readText(LOCK));
    if (holder > 0 && !isAlive(holder)) rmSync(LOCK, { force: true });
    else {
      if (!told)
        say(`process ${holder} installs or builds in this checkout: waiting for it (if it does not: remove ${LOCK})`);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}

export function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function projectFolders() {
  return readJson(join(root, 'tsconfig.json')).references.map(({ path }) => path);
}

function sourceStamp() {
  const hash = createHash('sha256').update(readFileSync(join(root, 'package-lock.json')));
  hash.update(readFileSync(join(root, 'tsconfig.base.json')));
  for (const folder of projectFolders()) stampFolder(hash, join(root, folder));
  return hash.digest('hex');
}

function stampFolder(hash, folder) {
  const entries = readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    if (entry.name === 'dist' || entry.name === 'node_modules') continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) stampFolder(hash, path);
    else if (!entry.name.endsWith('.test.ts')) {
      const { size, mtimeMs } = statSync(path);
      hash.update(`${path}\0${size}\0${mtimeMs}\n`);
    }
  }
}

export function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

function readText(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
