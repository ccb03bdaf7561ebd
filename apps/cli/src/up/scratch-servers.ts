import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  createWriteStream,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManagedChild } from './managed-child.js';
import { findFreePort, LOOPBACK } from './ports.js';
import { usableBinaries } from './postgres-binaries.js';
import { createCluster, databaseUrl, ensureDatabase, postgresChild, type ClusterOptions } from './postgres-cluster.js';
import { delay, endProcess, identifyProcess, isStillRunning, type ProcessIdentity } from './process-identity.js';
import { databaseUser } from './system-user.js';
import { obtainTemporal } from './temporal-binary.js';
import { createNamespace, temporalChild, type TemporalOptions } from './temporal-server.js';

/** Throw-away servers for tests and benchmarks: the same code that `fettle up` runs, in a folder that vanishes. */
export interface ScratchServer {
  readonly pid: number | undefined;
  /** Default SIGKILL, after which the process has ended when this resolves. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Starts again after a kill or stop, on the same port and data. */
  start(): Promise<void>;
  /** Ends in good order. */
  stop(): Promise<void>;
  /** Stops, then start. */
  restart(): Promise<void>;
  /** Stops and deletes the data. */
  close(): Promise<void>;
}

export interface ScratchPostgres extends ScratchServer {
  readonly port: number;
  /** Default database: `postgres`. */
  url(database?: string): string;
  ensureDatabase(name: string): Promise<void>;
}

export interface ScratchTemporal extends ScratchServer {
  /** `host:port`. */
  readonly address: string;
  createNamespace(name: string): Promise<void>;
}

const FOLDER_PREFIX = 'fettle-scratch-';
const MAX_START_ATTEMPTS = 20;

export interface ScratchPostgresOptions {
  /** False (the default): no fsync, which a process crash survives all the same. */
  readonly durable?: boolean;
  readonly maxConnections?: number;
}

export async function startScratchPostgres(options: ScratchPostgresOptions = {}): Promise<ScratchPostgres> {
  await sweepScratch();
  const user = databaseUser(() => undefined);
  const folder = makeFolder();
  const cluster: ClusterOptions = {
    folder: join(folder, 'postgres'),
    port: await findFreePort(),
    password: randomBytes(16).toString('hex'),
    binaries: usableBinaries(user, () => undefined),
    user,
    durable: options.durable ?? false,
    maxConnections: options.maxConnections ?? 300,
  };
  await createCluster(cluster);
  const server = new Scratch(new ManagedChild(postgresChild(cluster), logTo(folder)), folder);
  await server.start();
  return Object.assign(server, {
    port: cluster.port,
    url: (database = 'postgres') => databaseUrl(cluster, database),
    ensureDatabase: (name: string) => ensureDatabase(cluster, name),
  });
}

export interface ScratchTemporalOptions {
  /** False (the default): no fsync, which a process crash survives all the same. */
  readonly durable?: boolean;
  /** Settings of the server as `key=JSON`. */
  readonly dynamicConfig?: readonly string[];
}

export async function startScratchTemporal(options: ScratchTemporalOptions = {}): Promise<ScratchTemporal> {
  await sweepScratch();
  const folder = makeFolder();
  const temporal: TemporalOptions = {
    binary: await obtainTemporal({ env: process.env, report: (line) => void process.stderr.write(`${line}\n`) }),
    databaseFile: join(folder, 'temporal', 'temporal.db'),
    durable: options.durable ?? false,
    port: await findFreePort(),
    namespace: 'default',
    retentionHours: 24,
    dynamicConfig: options.dynamicConfig ?? [],
  };
  const server = new Scratch(new ManagedChild(temporalChild(temporal), logTo(folder)), folder);
  await server.start();
  return Object.assign(server, {
    address: `${LOOPBACK}:${temporal.port}`,
    createNamespace: (name: string) => createNamespace(temporal, name),
  });
}

class Scratch implements ScratchServer {
  constructor(
    private readonly child: ManagedChild,
    private readonly folder: string,
  ) {}

  get pid(): number | undefined {
    return this.child.pid;
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await this.child.kill(signal);
  }

  async start(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.child.start();
        break;
      } catch (error) {
        // A killed server's helpers may hold its memory or port for a moment longer.
        if (attempt === MAX_START_ATTEMPTS) throw error;
        await delay(200);
      }
    }
    writeFileSync(join(this.folder, 'processes.json'), JSON.stringify([ownIdentity(), this.child.identity]));
  }

  async stop(): Promise<void> {
    await this.child.stop();
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async close(): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), FOLDER_PREFIX));
  // The database's user must be able to pass, not to look.
  chmodSync(folder, 0o711);
  writeFileSync(join(folder, 'processes.json'), JSON.stringify([ownIdentity()]));
  return folder;
}

function logTo(folder: string): NodeJS.WritableStream {
  return createWriteStream(join(folder, 'server.log'), { flags: 'a', mode: 0o600 });
}

function ownIdentity(): ProcessIdentity | undefined {
  return identifyProcess(process.pid);
}

/** Ends and deletes what killed test runs left behind; what belongs to a run that still lives is left alone. */
async function sweepScratch(): Promise<void> {
  for (const name of readdirSync(tmpdir()).filter((entry) => entry.startsWith(FOLDER_PREFIX))) {
    const folder = join(tmpdir(), name);
    const identities = readIdentities(join(folder, 'processes.json'));
    const [owner, ...servers] = identities;
    if (owner === undefined || isStillRunning(owner)) continue;
    for (const server of servers) await endProcess(server, [{ signal: 'SIGKILL', waitMs: 5000 }]);
    rmSync(folder, { recursive: true, force: true });
  }
}

function readIdentities(file: string): ProcessIdentity[] {
  try {
    if (!existsSync(file)) return [];
    const parsed: unknown = JSON.parse(readFileSync(file, 'utf8'));
    return Array.isArray(parsed) ? (parsed as unknown[]).filter(isIdentity) : [];
  } catch {
    return [];
  }
}

function isIdentity(value: unknown): value is ProcessIdentity {
  return typeof value === 'object' && value !== null && 'pid' in value && 'startedAt' in value;
}
