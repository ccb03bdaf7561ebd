import { spawn } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { FettleError } from '@fettle/contracts';
import pg from 'pg';
import type { ChildSpec } from './managed-child.js';
import { LOOPBACK } from './ports.js';
import type { PostgresBinaries } from './postgres-binaries.js';
import { identifyProcess, type EndStep } from './process-identity.js';
import type { SystemUser } from './system-user.js';

/** The superuser of an embedded cluster. */
export const CLUSTER_OWNER = 'fettle';

export interface ClusterOptions {
  /** The cluster's folder (PGDATA); its parent must be enterable by `user`. */
  readonly folder: string;
  readonly port: number;
  /** SCRAM password of the owner, at most 100 printable characters. */
  readonly password: string;
  readonly binaries: PostgresBinaries;
  readonly user: SystemUser | undefined;
  /** False only for throw-away test clusters: a crash of the machine may then destroy the data. */
  readonly durable: boolean;
  readonly maxConnections?: number;
}

/** SIGINT is Postgres's fast shutdown: sessions are cut, data is flushed (postgres(1)). */
export const POSTGRES_STOP: readonly EndStep[] = [
  { signal: 'SIGINT', waitMs: 20_000 },
  { signal: 'SIGQUIT', waitMs: 5_000 },
  { signal: 'SIGKILL', waitMs: 5_000 },
];

export function databaseUrl(options: { port: number; password: string }, database: string): string {
  return `postgres://${CLUSTER_OWNER}:${encodeURIComponent(options.password)}@${LOOPBACK}:${options.port}/${encodeURIComponent(database)}`;
}

/** Runs initdb unless the folder holds a complete cluster already. */
export async function createCluster(options: ClusterOptions): Promise<void> {
  const { folder, binaries, user } = options;
  if (existsSync(join(folder, 'PG_VERSION'))) return assertSameMajor(folder, binaries);
  // Built beside its place and renamed, so that a killed initdb leaves no half-made cluster behind.
  const building = join(dirname(folder), `${basename(folder)}.new`);
  const passwordFile = join(dirname(folder), `${basename(folder)}.password`);
  rmSync(building, { recursive: true, force: true });
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(building, { recursive: true, mode: 0o700 });
  writeFileSync(passwordFile, options.password, { mode: 0o600 });
  if (user !== undefined) {
    chownSync(building, user.uid, user.gid);
    chownSync(passwordFile, user.uid, user.gid);
  }
  try {
    await runInitdb(options, building, passwordFile);
    renameSync(building, folder);
  } finally {
    rmSync(passwordFile, { force: true });
    rmSync(building, { recursive: true, force: true });
  }
}

async function runInitdb(options: ClusterOptions, target: string, passwordFile: string): Promise<void> {
  const { binaries, user } = options;
  const args = [
    ...['-D', target, '-U', CLUSTER_OWNER, `--pwfile=${passwordFile}`, '--auth=scram-sha-256', '--encoding=UTF8'],
    // The builtin provider carries its own Unicode tables: no locale of the machine is needed, and sorting never
    // changes with the C library.
    ...['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--no-instructions'],
    ...(options.durable ? [] : ['--no-sync']),
  ];
  const child = spawn(join(binaries.binDir, 'initdb'), args, {
    cwd: dirname(target),
    env: postgresEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
  });
  let said = '';
  const keep = (chunk: Buffer): void => void (said = `${said}${chunk.toString()}`.slice(-2000));
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) {
    throw new FettleError({
      code: 'initdb-failed',
      message: `initdb could not make a database cluster in ${options.folder} (exit code ${code}): ${said.trim()}`,
      remedy: 'Check free space and the permissions of the folder, or set DATABASE_URL to a Postgres of your own.',
    });
  }
}

/** How to run the cluster's server as a child of this process. */
export function postgresChild(options: ClusterOptions): ChildSpec {
  return {
    name: 'postgres',
    command: join(options.binaries.binDir, 'postgres'),
    args: ['-D', options.folder, ...serverSettings(options).flatMap((setting) => ['-c', setting])],
    env: postgresEnvironment(),
    cwd: options.folder,
    user: options.user,
    prepare: () => Promise.resolve(removeStaleLock(options.folder)),
    readiness: { kind: 'probe', probe: () => accepts(databaseUrl(options, 'postgres')) },
    readyTimeoutMs: 60_000,
    stop: POSTGRES_STOP,
  };
}

function serverSettings(options: ClusterOptions): string[] {
  return [
    `listen_addresses=${LOOPBACK}`,
    `port=${options.port}`,
    'unix_socket_directories=',
    `max_connections=${options.maxConnections ?? 200}`,
    'shared_buffers=256MB',
    'effective_cache_size=1GB',
    'max_wal_size=2GB',
    'checkpoint_timeout=15min',
    'wal_level=minimal',
    'max_wal_senders=0',
    'password_encryption=scram-sha-256',
    'timezone=UTC',
    'log_timezone=UTC',
    'log_min_messages=warning',
    'log_checkpoints=off',
    ...(options.durable ? [] : ['fsync=off', 'full_page_writes=off']),
  ];
}

function postgresEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };
}

/**
 * A server killed with -9 leaves `postmaster.pid`, and Postgres refuses to start when that number now belongs to any
 * other process of the same user. A live Postgres on the same folder keeps its lock: the new one then says so and ends.
 */
function removeStaleLock(folder: string): void {
  const lockFile = join(folder, 'postmaster.pid');
  if (!existsSync(lockFile)) return;
  const holder = identifyProcess(Number(readFileSync(lockFile, 'utf8').split('\n')[0]));
  const isServer =
    holder !== undefined && holder.commandLine.includes('postgres') && holder.commandLine.includes(folder);
  if (!isServer) rmSync(lockFile, { force: true });
}

/** Whether the server behind a URL answers a query now. */
export async function accepts(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2000 });
  // A server that goes away while the client is idle must not end this process.
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('select 1');
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Creates a database in the cluster unless it exists. */
export async function ensureDatabase(options: ClusterOptions, name: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl(options, 'postgres') });
  await client.connect();
  try {
    const found = await client.query('select 1 from pg_database where datname = $1', [name]);
    if (found.rowCount === 0) await client.query(`create database ${client.escapeIdentifier(name)}`);
  } finally {
    await client.end();
  }
}

function assertSameMajor(folder: string, binaries: PostgresBinaries): void {
  const major = readFileSync(join(folder, 'PG_VERSION'), 'utf8').trim();
  if (binaries.version.split('.')[0] === major) return;
  throw new FettleError({
    code: 'database-version',
    message: `the database in ${folder} was made by Postgres ${major}, and the embedded one is ${binaries.version}`,
    remedy: `Dump it with Postgres ${major} and load it into a new data directory (--data-dir).`,
  });
}
