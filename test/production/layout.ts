import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { appendFile, cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { makeSecrets } from '../../deploy/make-secrets.mjs';
import pg from 'pg';
import { findFreePort } from '../../apps/cli/dist/up/ports.js';
import { startPostgres, type ScratchPostgres } from '../support/postgres.js';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));
const READY_TIMEOUT_MS = 90_000;
const STOP_TIMEOUT_MS = 30_000;
const NAMESPACE = 'fettle';
/** The embedded cluster's own superuser is called fettle already. */
const DATABASE_USER = 'fettle_program';

/** One process of the layout; it can be killed like any other. */
export class Program {
  readonly #child: ChildProcess;
  /** It has exited, and all that it wrote was read. */
  readonly #closed: Promise<unknown>;
  #output = '';

  constructor(
    readonly name: string,
    command: string,
    args: readonly string[],
    env: NodeJS.ProcessEnv,
  ) {
    this.#child = spawn(command, args, { env, cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#closed = new Promise((resolve) => this.#child.once('close', resolve));
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (chunk: Buffer) => (this.#output = (this.#output + chunk.toString()).slice(-100_000)));
    }
  }

  get output(): string {
    return this.#output;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Throws with what the program wrote where it ends or the time passes. */
  async ready(isReady: () => boolean | Promise<boolean>): Promise<this> {
    const giveUpAtMs = Date.now() + READY_TIMEOUT_MS;
    while (!(await isReady())) {
      if (!this.isRunning || Date.now() > giveUpAtMs) {
        throw new Error(`${this.name} did not become ready:\n${this.#output.slice(-5000)}`);
      }
      await sleep(100);
    }
    return this;
  }

  /** Waits for its end; the exit code, or -1 where a signal ended it. */
  async ended(): Promise<number> {
    await this.#closed;
    return this.#child.exitCode ?? -1;
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    if (!this.isRunning) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill(signal);
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
  }
}

function setting(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === '') throw new Error(`${name} is not set: run \`npm run test:production\``);
  return value;
}

export interface LayoutSettings {
  /** Lines after those of deploy/temporal/dynamic.yaml. */
  readonly dynamicConfig?: string;
}

/** The processes of docker-compose.yml with the same scripts, configuration and secrets, on loopback. */
export class ProductionLayout {
  readonly apis: readonly { readonly program: Program; readonly url: string }[];
  readonly workers: readonly Program[];
  readonly token: string;
  /** Signed checkpoints of the audit log, outside the database. */
  readonly checkpoints: string;
  readonly #environment: NodeJS.ProcessEnv;
  readonly #databaseUrl: string;
  readonly #cleanUp: (() => Promise<void>)[];

  private constructor(parts: {
    apis: ProductionLayout['apis'];
    workers: readonly Program[];
    token: string;
    checkpoints: string;
    environment: NodeJS.ProcessEnv;
    databaseUrl: string;
    cleanUp: (() => Promise<void>)[];
  }) {
    this.apis = parts.apis;
    this.workers = parts.workers;
    this.token = parts.token;
    this.checkpoints = parts.checkpoints;
    this.#environment = parts.environment;
    this.#databaseUrl = parts.databaseUrl;
    this.#cleanUp = parts.cleanUp;
  }

  static async start({ dynamicConfig = '' }: LayoutSettings = {}): Promise<ProductionLayout> {
    const folder = await mkdtemp('/tmp/fettle-production-');
    const cleanUp: (() => Promise<void>)[] = [() => rm(folder, { recursive: true, force: true })];
    try {
      const secrets = join(folder, 'secrets');
      await makeSecrets(secrets);
      const postgres = await startPostgres({ durable: true });
      cleanUp.unshift(() => postgres.close());
      await createDatabases(postgres, secrets);
      const config = join(folder, 'temporal');
      await cp(join(root, 'deploy/temporal'), config, { recursive: true });
      await appendFile(join(config, 'dynamic.yaml'), dynamicConfig);
      const temporal = await startTemporal(postgres, secrets, config);
      cleanUp.unshift(() => temporal.program.end('SIGTERM'));
      const environment = programEnvironment(folder, postgres, temporal.address);
      await run('/bin/sh', ['deploy/start-program.sh', 'apps/worker/dist/migrate.js'], { env: environment, cwd: root });
      const apis = [await startApi('api-1', environment), await startApi('api-2', environment)];
      for (const { program } of apis) cleanUp.unshift(() => program.end('SIGTERM'));
      const workers = await Promise.all(['worker-1', 'worker-2'].map((name) => startWorker(name, environment)));
      for (const worker of workers) cleanUp.unshift(() => worker.end('SIGTERM'));
      // As the job `promote` does: versioned workers get nothing before.
      const promoted = await speakOfDeployment(environment, ['promote']);
      if (promoted.exitCode !== 0) throw new Error(`promote: ${promoted.output}`);
      const token = (await readFile(join(secrets, 'bootstrap.token'), 'utf8')).trim();
      const databaseUrl = postgres.url('fettle');
      const checkpoints = join(folder, 'data', 'audit', 'checkpoints.log');
      return new ProductionLayout({ apis, workers, token, checkpoints, environment, databaseUrl, cleanUp });
    } catch (error) {
      for (const clean of cleanUp) await clean();
      throw error;
    }
  }

  /** The worker that holds a lane of the run. */
  async workerOf(runId: string): Promise<Program> {
    const client = new pg.Client({ connectionString: this.#databaseUrl });
    await client.connect();
    try {
      const { rows } = await client.query<{ worker: string }>('SELECT worker FROM lane WHERE run_id = $1', [runId]);
      const holder = this.workers.find((worker) => rows[0]?.worker.endsWith(`:${worker.pid}`));
      if (holder === undefined) throw new Error(`no worker of this layout holds run ${runId}: ${JSON.stringify(rows)}`);
      return holder;
    } finally {
      await client.end();
    }
  }

  /** One more worker, of a build of that name, as a new version of the image would bring it. */
  async addWorker(build: string): Promise<Program> {
    const worker = await startWorker(`worker-${build}`, { ...this.#environment, FETTLE_BUILD_ID: build });
    this.#cleanUp.unshift(() => worker.end('SIGTERM'));
    return worker;
  }

  /** What `deployment.js` says of the builds of the workers, and with which exit code. */
  deployment(...args: string[]): Promise<{ readonly exitCode: number; readonly output: string }> {
    return speakOfDeployment(this.#environment, args);
  }

  /** The health check of a worker's container: exit code 0 while a worker listens from this address. */
  async workerHealth(): Promise<number> {
    const program = new Program(
      'worker-health',
      '/bin/sh',
      ['deploy/start-program.sh', 'deploy/worker-health.mjs'],
      this.#environment,
    );
    return program.ended();
  }

  async stop(): Promise<void> {
    for (const clean of this.#cleanUp) await clean();
  }
}

async function createDatabases(postgres: ScratchPostgres, secrets: string): Promise<void> {
  const owner = new URL(postgres.url());
  const env = {
    PATH: process.env.PATH,
    PGHOST: owner.hostname,
    PGPORT: owner.port,
    PGPASSWORD: decodeURIComponent(owner.password),
    POSTGRES_USER: owner.username,
    FETTLE_DATABASE_USER: DATABASE_USER,
    SECRETS_FOLDER: secrets,
  };
  await run('/bin/bash', ['deploy/postgres/create-databases.sh'], { env, cwd: root });
}

async function startTemporal(
  postgres: ScratchPostgres,
  secrets: string,
  config: string,
): Promise<{ program: Program; address: string }> {
  const passwordFile = join(secrets, 'temporal_database_password');
  const base = { PATH: process.env.PATH, SQL_PASSWORD_FILE: passwordFile };
  const schema = {
    ...base,
    SQL_PLUGIN: 'postgres12',
    SQL_HOST: '127.0.0.1',
    SQL_PORT: String(postgres.port),
    SQL_USER: 'temporal',
    TEMPORAL_SQL_TOOL: setting('FETTLE_TEMPORAL_SQL_TOOL'),
    TEMPORAL_SCHEMA_DIR: setting('FETTLE_TEMPORAL_SCHEMA'),
  };
  // Twice: the job runs with every `docker-compose up`, and must leave a database that is up to date as it is.
  for (let round = 0; round < 2; round += 1) {
    await run('/bin/sh', ['deploy/temporal/set-up-schema.sh'], { env: schema, cwd: root, maxBuffer: 16 * 2 ** 20 });
  }
  const port = await findFreePort();
  const address = `127.0.0.1:${port}`;
  const program = new Program('temporal', '/bin/sh', ['deploy/temporal/start-server.sh'], {
    ...base,
    TEMPORAL_SERVER: setting('FETTLE_TEMPORAL_SERVER'),
    TEMPORAL_CONFIG: config,
    TEMPORAL_LISTEN: '127.0.0.1',
    TEMPORAL_PORT: String(port),
    TEMPORAL_SQL_ADDRESS: `127.0.0.1:${postgres.port}`,
    TEMPORAL_SQL_USER: 'temporal',
  });
  const cli = setting('FETTLE_TEMPORAL_CLI');
  const env = { PATH: process.env.PATH, HOME: '/nonexistent' };
  await program.ready(() =>
    run(cli, ['operator', 'cluster', 'health', '--address', address], { env, timeout: 10_000 }).then(
      () => true,
      () => false,
    ),
  );
  const namespace = { ...env, TEMPORAL_CLI: cli, TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE: NAMESPACE };
  for (let round = 0; round < 2; round += 1) {
    await run('/bin/sh', ['deploy/temporal/set-up-namespace.sh'], {
      env: { ...namespace, TEMPORAL_RETENTION: '720h' },
      cwd: root,
    });
  }
  return { program, address };
}

function programEnvironment(folder: string, postgres: ScratchPostgres, temporal: string): NodeJS.ProcessEnv {
  const secret = (name: string): string => join(folder, 'secrets', name);
  return {
    PATH: process.env.PATH,
    FETTLE_DATABASE_HOST: '127.0.0.1',
    FETTLE_DATABASE_PORT: String(postgres.port),
    FETTLE_DATABASE_USER: DATABASE_USER,
    FETTLE_DATABASE_PASSWORD_FILE: secret('fettle_database_password'),
    TEMPORAL_ADDRESS: temporal,
    TEMPORAL_NAMESPACE: NAMESPACE,
    FETTLE_DATA_DIR: join(folder, 'data'),
    FETTLE_SEALING_KEY_FILE: secret('sealing.key'),
    FETTLE_TOKEN_KEY_FILE: secret('token.key'),
    FETTLE_AUDIT_KEY_FILE: secret('audit.pem'),
    FETTLE_BOOTSTRAP_TOKEN_FILE: secret('bootstrap.token'),
    FETTLE_WORKER_DEPLOYMENT: 'fettle',
  };
}

async function startApi(name: string, environment: NodeJS.ProcessEnv): Promise<{ program: Program; url: string }> {
  const port = await findFreePort();
  const url = `http://127.0.0.1:${port}`;
  const program = new Program(name, '/bin/sh', ['deploy/start-program.sh', 'apps/api/dist/main.js'], {
    ...environment,
    // It tells the key, and cannot sign.
    FETTLE_AUDIT_KEY_FILE: '',
    FETTLE_AUDIT_PUBLIC_KEY_FILE: join(dirname(environment.FETTLE_SEALING_KEY_FILE ?? ''), 'audit.pub'),
    FETTLE_PORT: String(port),
  });
  const isReady = async (): Promise<boolean> => {
    const response = await fetch(`${url}/readyz`).catch(() => null);
    await response?.body?.cancel();
    return response?.status === 200;
  };
  return { program: await program.ready(isReady), url };
}

function startWorker(name: string, environment: NodeJS.ProcessEnv): Promise<Program> {
  const program = new Program(name, '/bin/sh', ['deploy/start-program.sh', 'apps/worker/dist/main.js'], environment);
  return program.ready(() => program.output.includes('"msg":"ready"'));
}

async function speakOfDeployment(
  environment: NodeJS.ProcessEnv,
  args: readonly string[],
): Promise<{ readonly exitCode: number; readonly output: string }> {
  const script = ['deploy/start-program.sh', 'apps/worker/dist/deployment.js', ...args];
  const program = new Program('deployment', '/bin/sh', script, environment);
  const exitCode = await program.ended();
  return { exitCode, output: program.output };
}
