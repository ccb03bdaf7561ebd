import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SHARED_ROOT } from './postgres-binaries.js';
import { canEnter, type SystemUser } from './system-user.js';

/** The checkout that this file belongs to (apps/cli/dist/up, and equally apps/cli/src/up). */
export const CHECKOUT = resolve(dirname(fileURLToPath(import.meta.url)), '../../../..');

/** Everything of a local stack lies under one folder. */
export interface DataDir {
  readonly path: string;
  readonly logs: string;
  readonly keys: string;
  readonly tokenFile: string;
  readonly stateFile: string;
  readonly lockFile: string;
  readonly portsFile: string;
  readonly temporalDatabase: string;
}

/** `--data-dir`, else FETTLE_DATA_DIR, else `.fettle` in the checkout. */
export function resolveDataDir(given: string | undefined, env: NodeJS.ProcessEnv): DataDir {
  const fromEnvironment = env.FETTLE_DATA_DIR === '' ? undefined : env.FETTLE_DATA_DIR;
  return dataDirAt(resolve(given ?? fromEnvironment ?? join(CHECKOUT, '.fettle')));
}

export function dataDirAt(path: string): DataDir {
  return {
    path,
    logs: join(path, 'logs'),
    keys: join(path, 'keys'),
    tokenFile: join(path, 'token'),
    stateFile: join(path, 'state.json'),
    lockFile: join(path, 'lock'),
    portsFile: join(path, 'ports.json'),
    temporalDatabase: join(path, 'temporal', 'temporal.db'),
  };
}

export function createDataDir(dataDir: DataDir): void {
  const existed = existsSync(dataDir.path);
  mkdirSync(dataDir.path, { recursive: true, mode: 0o700 });
  // Root's database runs as another user, who must pass through here (not look: the rest is owner-only).
  if (!existed && process.getuid?.() === 0) chmodSync(dataDir.path, 0o711);
  for (const folder of [dataDir.logs, dataDir.keys]) mkdirSync(folder, { recursive: true, mode: 0o700 });
}

/**
 * The cluster's folder. Where the database's user cannot enter the data directory it lies under `/var/lib/fettle`, and
 * a file in the data directory names it: so a moved data directory finds its database, and a new one made in the place
 * of a deleted one never opens the old database.
 */
export function clusterFolder(dataDir: DataDir, user: SystemUser | undefined): string {
  const recordFile = join(dataDir.path, 'postgres-folder');
  const recorded = existsSync(recordFile) ? readFileSync(recordFile, 'utf8').trim() : undefined;
  if (recorded !== undefined && existsSync(recorded)) return recorded;
  const own = join(dataDir.path, 'postgres');
  if (existsSync(own) || user === undefined || canEnter(dataDir.path, user)) return own;
  const hash = createHash('sha256').update(dataDir.path).digest('hex').slice(0, 16);
  const parent = join(SHARED_ROOT, `${hash}-${randomBytes(3).toString('hex')}`);
  mkdirSync(parent, { recursive: true, mode: 0o711 });
  chmodSync(SHARED_ROOT, 0o755);
  const folder = join(parent, 'postgres');
  writeFileAtomically(join(parent, OWNER_FILE), `${dataDir.path}\n`);
  writeFileAtomically(recordFile, `${folder}\n`);
  return folder;
}

const OWNER_FILE = 'data-dir';

/** Databases under `/var/lib/fettle` whose data directory has been deleted. They are named, never removed. */
export function abandonedClusters(): string[] {
  const parents = existsSync(SHARED_ROOT) ? readdirSync(SHARED_ROOT).map((name) => join(SHARED_ROOT, name)) : [];
  return parents.filter((parent) => {
    const ownerFile = join(parent, OWNER_FILE);
    if (!existsSync(ownerFile)) return false;
    return !existsSync(readFileSync(ownerFile, 'utf8').trim());
  });
}

/** Ports of the embedded parts, kept between starts so that addresses stay the same. */
export interface RememberedPorts {
  readonly postgres?: number;
  readonly temporal?: number;
}

export function readPorts(dataDir: DataDir): RememberedPorts {
  const parsed = readJson(dataDir.portsFile);
  if (typeof parsed !== 'object' || parsed === null) return {};
  const port = (key: string): number | undefined => {
    const value: unknown = Reflect.get(parsed, key);
    return typeof value === 'number' && Number.isInteger(value) && value > 0 && value < 65_536 ? value : undefined;
  };
  const [postgres, temporal] = [port('postgres'), port('temporal')];
  return { ...(postgres === undefined ? {} : { postgres }), ...(temporal === undefined ? {} : { temporal }) };
}

/** Undefined when the file is missing or is not JSON. */
export function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as unknown;
  } catch {
    return undefined;
  }
}

/** A reader sees the old text or the new one, never half of it. */
export function writeFileAtomically(file: string, text: string): void {
  const draft = `${file}.${process.pid}.new`;
  writeFileSync(draft, text, { mode: 0o600 });
  renameSync(draft, file);
}
