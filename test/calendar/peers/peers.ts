import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { ensureDebianPackages } from '../../support/debian-packages.js';

const run = promisify(execFile);
const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const INSTALL_TIMEOUT_MS = 5 * 60_000;

/** What both peers are asked: times in seconds since 1970, `to` exclusive. */
export interface PeerQuery {
  readonly kind: 'cron' | 'rrule';
  readonly expression: string;
  readonly zone: string;
  readonly from: number;
  readonly to: number;
  readonly gap: 'shift' | 'skip';
  readonly overlap: 'first' | 'last' | 'both';
}

export type PeerAnswer = { readonly at: readonly number[] } | { readonly error: string };

/** Two implementations of schedules that know nothing of Fettle, on the zone data of this Node's version. */
export interface Peers {
  /** croniter and python-dateutil: local times; zoneinfo says what becomes of them. */
  python(queries: readonly PeerQuery[]): Promise<PeerAnswer[]>;
  /** robfig/cron, with its own treatment of changing clocks; cron only. */
  robfig(queries: readonly PeerQuery[]): Promise<PeerAnswer[]>;
}

/** `2025c` is 2025.3 on PyPI. */
function tzdataPin(): string {
  const match = /^(\d{4})([a-z])$/.exec(process.versions.tz ?? '');
  if (!match) throw new Error(`Node does not tell which zone data it has: ${process.versions.tz}`);
  return `tzdata==${match[1]}.${(match[2] ?? 'a').charCodeAt(0) - 96}`;
}

/** Installs what is missing into the cache of the user, once for each set of versions. */
export async function obtainPeers(): Promise<Peers> {
  const inputs = [readFileSync(here('requirements.txt')), tzdataPin()];
  for (const name of ['main.go', 'go.mod', 'go.sum']) inputs.push(readFileSync(here(`robfig/${name}`)));
  const hash = createHash('sha256');
  for (const input of inputs) hash.update(input);
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  const folder = join(cache, 'fettle', 'schedule-peers', hash.digest('hex').slice(0, 16));
  if (!existsSync(folder)) await install(folder);
  const zoneData = (
    await run(join(folder, 'python/bin/python'), ['-c', 'import tzdata; print(tzdata.__path__[0])'])
  ).stdout.trim();
  return {
    // An empty path: zoneinfo takes the package and not what the machine has.
    python: (queries) => ask(join(folder, 'python/bin/python'), [here('peers.py')], { PYTHONTZPATH: '' }, queries),
    robfig: (queries) => ask(join(folder, 'robfig'), [], { ZONEINFO: join(zoneData, 'zoneinfo') }, queries),
  };
}

/** Whole or not at all: what is half installed never stands in the cache. A venv may not be moved, so its programs are called by -m. */
async function install(folder: string): Promise<void> {
  mkdirSync(join(folder, '..'), { recursive: true });
  const making = mkdtempSync(`${folder}-`);
  const options = { timeout: INSTALL_TIMEOUT_MS, maxBuffer: 16 * 2 ** 20 };
  try {
    await ensureDebianPackages(['python3-venv']);
    await run('python3', ['-m', 'venv', join(making, 'python')], options);
    const python = join(making, 'python/bin/python');
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', here('requirements.txt')];
    await run(python, [...pip, tzdataPin()], options);
    const source = join(making, 'source');
    cpSync(here('robfig'), source, { recursive: true });
    await run('go', ['build', '-o', join(making, 'robfig'), '.'], { ...options, cwd: source });
    writeFileSync(join(making, 'versions'), `${readFileSync(here('requirements.txt'), 'utf8')}${tzdataPin()}\n`);
    renameSync(making, folder);
  } catch (error) {
    // Another test process may have been faster.
    if (!existsSync(folder)) throw error;
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
}

async function ask(
  program: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  queries: readonly PeerQuery[],
): Promise<PeerAnswer[]> {
  const child = spawn(program, args, { env: { ...process.env, ...environment }, stdio: ['pipe', 'pipe', 'inherit'] });
  const closed = new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => void chunks.push(chunk));
  child.stdin.end(queries.map((query) => `${JSON.stringify(query)}\n`).join(''));
  const code = await closed;
  if (code !== 0) throw new Error(`${program} ended with ${code}`);
  const lines = Buffer.concat(chunks).toString('utf8').trimEnd().split('\n');
  if (lines.length !== queries.length) throw new Error(`${lines.length} answers to ${queries.length} questions`);
  return lines.map((line) => JSON.parse(line) as PeerAnswer);
}
