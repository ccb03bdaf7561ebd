import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { DEFAULT_HOST, DEFAULT_NAMESPACE, describeDatabase, httpUrl, WORKER_STOP_MS } from '@fettle/config';
import { FettleError } from '@fettle/contracts';
import {
  abandonedClusters,
  CHECKOUT,
  clusterFolder,
  readPorts,
  writeFileAtomically,
  type DataDir,
} from './data-dir.js';
import type { ChildSpec, Readiness } from './managed-child.js';
import type { Progress } from './output.js';
import { canConnect, findFreePort, LOOPBACK } from './ports.js';
import { usableBinaries } from './postgres-binaries.js';
import {
  accepts,
  createCluster,
  databaseUrl,
  ensureDatabase,
  postgresChild,
  type ClusterOptions,
} from './postgres-cluster.js';
import type { EndStep } from './process-identity.js';
import { RotatingLog } from './rotating-log.js';
import type { LocalSecrets } from './secrets.js';
import type { Supervisor } from './supervisor.js';
import { databaseUser } from './system-user.js';
import { obtainTemporal } from './temporal-binary.js';
import { temporalChild } from './temporal-server.js';

/** The project's own programs, as files that Node runs. Tests put small ones in their place. */
export interface StackPrograms {
  readonly migrate: string;
  readonly api: string;
  readonly worker: string;
  readonly demoEstate: string;
}

export const PROGRAMS: StackPrograms = {
  migrate: join(CHECKOUT, 'apps/worker/dist/migrate.js'),
  api: join(CHECKOUT, 'apps/api/dist/main.js'),
  worker: join(CHECKOUT, 'apps/worker/dist/main.js'),
  demoEstate: join(CHECKOUT, 'apps/cli/dist/demo/main.js'),
};

export interface StackOptions {
  readonly dataDir: DataDir;
  readonly env: NodeJS.ProcessEnv;
  readonly host: string;
  readonly port: number;
  readonly demo: boolean;
  readonly programs: StackPrograms;
  readonly secrets: LocalSecrets;
  readonly progress: Progress;
  /** Ends whatever the start is waiting for. */
  readonly signal: AbortSignal;
}

const DATABASE_NAME = 'fettle';
/** Histories are archived within the hour; a month leaves room for a long outage of the archiver. */
const RETENTION_HOURS = 720;
const READY_TIMEOUT_MS = 60_000;
const MIGRATION_TIMEOUT_MS = 10 * 60_000;
/** A worker that has commands in flight takes up to `WORKER_STOP_MS` to stop; the others are quick. */
const NODE_STOP: readonly EndStep[] = [
  { signal: 'SIGTERM', waitMs: WORKER_STOP_MS + 5_000 },
  { signal: 'SIGKILL', waitMs: 5_000 },
];

/** Starts everything in order: database and Temporal together, migrations, then API, worker and demo estate. */
export async function startStack(supervisor: Supervisor, options: StackOptions): Promise<void> {
  const ports = await choosePorts(options.dataDir);
  const [database, temporal] = await Promise.all([
    startDatabase(supervisor, options, ports.postgres),
    startTemporal(supervisor, options, ports.temporal),
  ]);
  const environment = processEnvironment(options, database, temporal);
  await migrate(options, environment);
  options.progress.say('the database has the current schema');
  const starts = [
    startProgram(supervisor, options, apiChild(options, environment)),
    startProgram(
      supervisor,
      options,
      nodeChild(options, 'worker', options.programs.worker, [], environment, readyLine),
    ),
  ];
  if (options.demo) {
    const args = ['--data-dir', options.dataDir.path];
    starts.push(
      startProgram(
        supervisor,
        options,
        nodeChild(options, 'demo-estate', options.programs.demoEstate, args, options.env, readyLine),
      ),
    );
  }
  await Promise.all(starts);
}

/** The ports of the embedded parts: those of the last start where they are free. */
async function choosePorts(dataDir: DataDir): Promise<{ postgres: number; temporal: number }> {
  const remembered = readPorts(dataDir);
  const postgres = await findFreePort(remembered.postgres);
  let temporal = await findFreePort(remembered.temporal);
  while (temporal === postgres) temporal = await findFreePort();
  writeFileAtomically(dataDir.portsFile, `${JSON.stringify({ postgres, temporal })}\n`);
  return { postgres, temporal };
}

async function startDatabase(supervisor: Supervisor, options: StackOptions, port: number): Promise<string> {
  const { env, progress, dataDir } = options;
  const external = env.DATABASE_URL;
  if (external !== undefined && external !== '') {
    if (!(await accepts(external))) {
      throw new FettleError({
        code: 'database-unreachable',
        message: `DATABASE_URL names ${describeDatabase(external)}, which does not answer`,
        remedy: 'Start that database or correct DATABASE_URL; without it an embedded Postgres is used.',
      });
    }
    progress.say(`using the database ${describeDatabase(external)}`);
    return external;
  }
  const report = (line: string): void => progress.say(line);
  const user = databaseUser(report);
  const folder = clusterFolder(dataDir, user);
  if (!folder.startsWith(dataDir.path)) {
    progress.say(`user ${user?.name} cannot enter ${dataDir.path}: the database lies in ${folder}`);
    const abandoned = abandonedClusters();
    if (abandoned.length > 0) {
      progress.say(
        `note: no data directory uses these databases any more, remove what you do not need: ${abandoned.join(' ')}`,
      );
    }
  }
  const cluster: ClusterOptions = {
    folder,
    port,
    password: options.secrets.databasePassword,
    binaries: usableBinaries(user, report),
    user,
    durable: true,
  };
  await createCluster(cluster);
  await supervisor.start(postgresChild(cluster));
  await ensureDatabase(cluster, DATABASE_NAME);
  progress.say(
    `Postgres ${cluster.binaries.version} is ready on ${LOOPBACK}:${cluster.port}${user ? ` (user ${user.name})` : ''}`,
  );
  return databaseUrl(cluster, DATABASE_NAME);
}

async function startTemporal(supervisor: Supervisor, options: StackOptions, port: number): Promise<string> {
  const { env, progress, dataDir, signal } = options;
  const external = env.TEMPORAL_ADDRESS;
  if (external !== undefined && external !== '') {
    const separator = external.lastIndexOf(':');
    if (
      !(await canConnect(
        external.slice(0, separator).replace(/^\[|\]$/g, ''),
        Number(external.slice(separator + 1)),
        5000,
      ))
    ) {
      throw new FettleError({
        code: 'temporal-unreachable',
        message: `TEMPORAL_ADDRESS names ${external}, which does not answer`,
        remedy: 'Start that server or correct TEMPORAL_ADDRESS; without it an embedded Temporal is used.',
      });
    }
    progress.say(`using Temporal at ${external}`);
    return external;
  }
  const binary = await obtainTemporal({ env, signal, report: (line) => progress.say(line) });
  await supervisor.start(
    temporalChild({
      binary,
      databaseFile: dataDir.temporalDatabase,
      durable: true,
      port,
      namespace: temporalNamespace(env),
      retentionHours: RETENTION_HOURS,
    }),
  );
  progress.say(`Temporal is ready on ${LOOPBACK}:${port} (${binary})`);
  return `${LOOPBACK}:${port}`;
}

function temporalNamespace(env: NodeJS.ProcessEnv): string {
  return env.TEMPORAL_NAMESPACE === undefined || env.TEMPORAL_NAMESPACE === ''
    ? DEFAULT_NAMESPACE
    : env.TEMPORAL_NAMESPACE;
}

/** What libs/config reads. */
function processEnvironment(options: StackOptions, database: string, temporal: string): NodeJS.ProcessEnv {
  const { env, dataDir, host, port, secrets } = options;
  return {
    ...env,
    DATABASE_URL: database,
    TEMPORAL_ADDRESS: temporal,
    TEMPORAL_NAMESPACE: temporalNamespace(env),
    FETTLE_DATA_DIR: dataDir.path,
    FETTLE_HOST: host,
    FETTLE_PORT: String(port),
    FETTLE_SEALING_KEY_FILE: secrets.sealingKeyFile,
    FETTLE_TOKEN_KEY_FILE: secrets.tokenKeyFile,
    FETTLE_AUDIT_KEY_FILE: secrets.auditKeyFile,
    FETTLE_BOOTSTRAP_TOKEN_FILE: dataDir.tokenFile,
  };
}

async function startProgram(supervisor: Supervisor, options: StackOptions, spec: ChildSpec): Promise<void> {
  await supervisor.start(spec);
  options.progress.say(`${spec.name} is ready`);
}

function apiChild(options: StackOptions, env: NodeJS.ProcessEnv): ChildSpec {
  const url = localUrl(options.host, options.port);
  const probe = async (): Promise<boolean> => {
    try {
      const response = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(2000) });
      await response.body?.cancel();
      return response.status === 200;
    } catch {
      return false;
    }
  };
  return nodeChild(options, 'api', options.programs.api, [], env, { kind: 'probe', probe });
}

/** How this machine reaches the API: a wildcard address is no address to connect to. */
export function localUrl(host: string, port: number): string {
  const reachable = host === '0.0.0.0' || host === '::' ? DEFAULT_HOST : host;
  return httpUrl(reachable, port);
}

const readyLine: Readiness = {
  kind: 'line',
  matches: (line) => /"msg"\s*:\s*"ready"/.test(line),
};

function nodeChild(
  options: StackOptions,
  name: string,
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  readiness: Readiness,
): ChildSpec {
  return {
    name,
    command: process.execPath,
    args: ['--enable-source-maps', program, ...args],
    env,
    cwd: options.dataDir.path,
    user: undefined,
    readiness,
    readyTimeoutMs: READY_TIMEOUT_MS,
    stop: NODE_STOP,
  };
}

function migrate(options: StackOptions, env: NodeJS.ProcessEnv): Promise<void> {
  const log = new RotatingLog(join(options.dataDir.logs, 'migrate.log'));
  const child = spawn(process.execPath, [options.programs.migrate], {
    env,
    cwd: options.dataDir.path,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: MIGRATION_TIMEOUT_MS,
    signal: options.signal,
  });
  const tail: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      log.write(`${line}\n`);
      tail.push(line.slice(0, 500));
      if (tail.length > 20) tail.shift();
    });
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      log.close();
      if (code === 0) resolve();
      else {
        reject(
          new FettleError({
            code: 'migration-failed',
            message: `the database could not be brought to the current schema (exit code ${code}):\n${tail.map((line) => `    ${line}`).join('\n')}`,
            remedy: `See ${join(options.dataDir.logs, 'migrate.log')}; the database is as it was before the step that failed.`,
          }),
        );
      }
    });
  });
}
