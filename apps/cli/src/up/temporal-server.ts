import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import type { ChildSpec } from './managed-child.js';
import { canConnect, LOOPBACK } from './ports.js';
import type { EndStep } from './process-identity.js';

const run = promisify(execFile);

export interface TemporalOptions {
  /** The `temporal` executable. */
  readonly binary: string;
  /**
   * SQLite file in a folder of its own, made owner-only. Never in memory: that database lives in one connection, and a call that
   * its caller gives up can cost the server that connection, and with it all tables.
   */
  readonly databaseFile: string;
  /** True syncs each commit, so that it survives a power cut; a crash of the process it survives either way. */
  readonly durable: boolean;
  readonly port: number;
  readonly namespace: string;
  /** How long a closed workflow is kept; the server's own default of a day would lose histories not yet archived. */
  readonly retentionHours: number;
  /** Further `key=JSON` settings of the server. */
  readonly dynamicConfig?: readonly string[];
}

export const TEMPORAL_STOP: readonly EndStep[] = [
  { signal: 'SIGTERM', waitMs: 10_000 },
  { signal: 'SIGKILL', waitMs: 5_000 },
];

/**
 * A server whose SQLite library is older than the one that Fettle builds in can get stuck: it runs, and each call fails with
 * `interrupted (9)` until it is started anew. A busy one answers late, so that it gets most of a minute.
 */
const HEALTH = { intervalMs: 10_000, maxFailures: 4 };

/** A wave of schedules due in the same second must not wait behind the default of 30 starts a second. */
const DYNAMIC_CONFIG = ['worker.schedulerNamespaceStartWorkflowRPS=1000'];

/**
 * By default SQLite keeps what it is about to overwrite in a second file that it makes and deletes for each transaction. With a
 * write-ahead log a commit is one write and one sync, and what was committed survives a power cut as before
 * (https://www.sqlite.org/wal.html; `full` is what syncs each commit).
 */
const pragmas = (durable: boolean): string[] => ['journal_mode=wal', `synchronous=${durable ? 'full' : 'off'}`];

export function temporalChild(options: TemporalOptions): ChildSpec {
  const { binary, databaseFile, durable, port, namespace } = options;
  return {
    name: 'temporal',
    command: binary,
    args: [
      ...['server', 'start-dev', '--ip', LOOPBACK, '--port', String(port), '--headless', '--log-level', 'error'],
      ...['--namespace', namespace, '--disable-config-file', '--disable-config-env'],
      ...['--db-filename', databaseFile],
      ...pragmas(durable).flatMap((pragma) => ['--sqlite-pragma', pragma]),
      ...[...DYNAMIC_CONFIG, ...(options.dynamicConfig ?? [])].flatMap((value) => ['--dynamic-config-value', value]),
    ],
    env: temporalEnvironment(),
    cwd: dirname(databaseFile),
    user: undefined,
    prepare: () => {
      // The server makes the file itself (it must not exist before), so its folder keeps others out.
      mkdirSync(dirname(databaseFile), { recursive: true, mode: 0o700 });
      return Promise.resolve();
    },
    readiness: { kind: 'probe', probe: () => isServing(options) },
    readyTimeoutMs: 60_000,
    afterReady: () => setRetention(options),
    health: { isHealthy: () => isServing(options), ...HEALTH },
    stop: TEMPORAL_STOP,
  };
}

/** Serving means that the namespace answers, not only that the port is open. */
async function isServing(options: TemporalOptions): Promise<boolean> {
  if (!(await canConnect(LOOPBACK, options.port))) return false;
  return operator(options, ['namespace', 'describe', '--namespace', options.namespace]);
}

async function setRetention(options: TemporalOptions): Promise<void> {
  const retention = ['--retention', `${options.retentionHours}h`];
  const done = await operator(options, ['namespace', 'update', '--namespace', options.namespace, ...retention]);
  if (!done) throw new Error(`temporal: the retention of namespace ${options.namespace} could not be set`);
}

/** Adds a namespace to a running server; clients see it within a few seconds. */
export async function createNamespace(options: TemporalOptions, name: string): Promise<void> {
  const done = await operator(options, ['namespace', 'create', '--namespace', name, '--retention', '24h']);
  if (!done) throw new Error(`temporal: namespace ${name} could not be created`);
}

async function operator(options: TemporalOptions, args: readonly string[]): Promise<boolean> {
  const common = ['--address', `${LOOPBACK}:${options.port}`, '--disable-config-file', '--disable-config-env'];
  try {
    await run(options.binary, ['operator', ...args, ...common], { env: temporalEnvironment(), timeout: 10_000 });
    return true;
  } catch {
    return false;
  }
}

/** The person's own TEMPORAL_* settings point at another server. */
function temporalEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('TEMPORAL_')));
}
