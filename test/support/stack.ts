import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { runbookDocumentSchema, type RunDetail, type RunSummary } from '@fettle/contracts';
import { createDataSource } from '@fettle/database';
import { getRun, startRun, type OperationContext, type StartOptions } from '@fettle/operations';
import { digestOf, type JsonValue } from '@fettle/runbook';
import {
  generateEffectTokenKeyText,
  generateSealingKeyLine,
  generateSigningKeyPem,
  SealingKeyring,
} from '@fettle/security';
import type { DataSource } from 'typeorm';
import { uuidv7 } from 'uuidv7';
import { createTestDatabase } from './postgres.js';
import type { Sshd } from './sshd.js';
import { testTemporal } from './temporal.js';

const workerScript = fileURLToPath(new URL('../../apps/worker/dist/main.js', import.meta.url));
const READY_TIMEOUT_MS = 60_000;

export interface StackSettings {
  /** Instead of the database that `createTestDatabase` makes. */
  readonly databaseUrl?: string;
  /** Instead of the Temporal server that all tests share. */
  readonly temporalAddress?: string;
}

/** What is needed of an sshd to make assets of its addresses. */
export interface SshHosts extends Pick<Sshd, 'port' | 'address' | 'hostKeys'> {
  readonly account: Pick<Sshd['account'], 'user' | 'privateKey'>;
}

/** One worker process; it can be killed like any other. */
export class WorkerProcess {
  readonly #child: ChildProcess;
  #stderr = '';

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stderr!.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString()).slice(-200_000);
    });
  }

  static async start(environment: NodeJS.ProcessEnv, script = workerScript): Promise<WorkerProcess> {
    const child = spawn(process.execPath, [script], { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
    const worker = new WorkerProcess(child);
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`the worker did not start: ${worker.log}`)), READY_TIMEOUT_MS);
      child.stdout.on('data', (chunk: Buffer) => {
        if (!chunk.toString().includes('"msg":"ready"')) return;
        clearTimeout(timer);
        resolve();
      });
      child.once('exit', (code) => {
        clearTimeout(timer);
        reject(new Error(`the worker ended with ${String(code)}: ${worker.log}`));
      });
    });
    return worker;
  }

  get log(): string {
    return this.#stderr;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** False once it has exited, by itself or by a signal. */
  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Resident memory now: VmRSS of proc(5) status. */
  async residentBytes(): Promise<number> {
    const status = await readFile(`/proc/${this.pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
  }

  /** User and system time so far: fields 14 and 15 of proc(5) stat, in ticks of 10 ms. */
  async cpuMs(): Promise<number> {
    const stat = await readFile(`/proc/${this.pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10;
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (!this.isRunning) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill(signal);
    await ended;
  }
}

/** A database, keys and workers, around the real Temporal server: what a run needs, without the API. */
export class TestStack {
  readonly dataSource: DataSource;
  readonly environment: NodeJS.ProcessEnv;
  readonly principalId: string;
  readonly #keyring: SealingKeyring;
  readonly #cleanUp: (() => Promise<void>)[];

  private constructor(
    dataSource: DataSource,
    environment: NodeJS.ProcessEnv,
    principalId: string,
    keyring: SealingKeyring,
    cleanUp: (() => Promise<void>)[],
  ) {
    this.dataSource = dataSource;
    this.environment = environment;
    this.principalId = principalId;
    this.#keyring = keyring;
    this.#cleanUp = cleanUp;
  }

  static async create(settings: StackSettings = {}): Promise<TestStack> {
    const database = settings.databaseUrl === undefined ? await createTestDatabase() : null;
    const url = settings.databaseUrl ?? database!.url;
    const temporal = testTemporal();
    const dataDir = await mkdtemp('/tmp/fettle-stack-');
    const sealing = generateSealingKeyLine();
    const files = { sealing, token: generateEffectTokenKeyText(), 'audit.pem': generateSigningKeyPem() };
    for (const [name, text] of Object.entries(files)) await writeFile(join(dataDir, name), text, { mode: 0o600 });
    const dataSource = await createDataSource({ url, poolSize: 5, applicationName: 'fettle-test' });
    const principalId = uuidv7();
    await dataSource.query(`INSERT INTO principal (id, name, kind) VALUES ($1, 'tester', 'person')`, [principalId]);
    await dataSource.query(
      `INSERT INTO role_binding (id, principal_id, role, space) VALUES ($1, $2, 'admin', 'default')`,
      [uuidv7(), principalId],
    );
    const environment = {
      ...process.env,
      NODE_OPTIONS: '',
      DATABASE_URL: url,
      TEMPORAL_ADDRESS: settings.temporalAddress ?? temporal.address,
      FETTLE_TASK_QUEUE: temporal.taskQueue,
      FETTLE_DATA_DIR: dataDir,
      FETTLE_LOG_LEVEL: 'info',
      FETTLE_SEALING_KEY_FILE: join(dataDir, 'sealing'),
      FETTLE_TOKEN_KEY_FILE: join(dataDir, 'token'),
      FETTLE_AUDIT_KEY_FILE: join(dataDir, 'audit.pem'),
    };
    return new TestStack(dataSource, environment, principalId, SealingKeyring.fromText(sealing), [
      () => dataSource.destroy(),
      async () => database?.close(),
      () => rm(dataDir, { recursive: true, force: true }),
    ]);
  }

  startWorker(): Promise<WorkerProcess> {
    return WorkerProcess.start(this.environment);
  }

  /** Assets `host-000`, ... that are addresses of one sshd, with its key pinned and its account's key as credential. */
  async addHosts(
    sshd: SshHosts,
    count: number,
    options: { readonly prefix?: string; readonly first?: number } = {},
  ): Promise<string[]> {
    const { prefix = 'host', first = 0 } = options;
    const credential = `key-${randomBytes(4).toString('hex')}`;
    await this.addCredential(credential, 'ssh-private-key', sshd.account.privateKey, sshd.account.user);
    const hostKeys = await sshd.hostKeys();
    const names: string[] = [];
    for (let host = 0; host < count; host += 1) {
      const id = uuidv7();
      const name = `${prefix}-${String(host).padStart(3, '0')}`;
      names.push(name);
      await this.dataSource.query(
        `INSERT INTO asset (id, space, name, kind, labels) VALUES ($1, 'default', $2, 'server', $3)`,
        [id, name, JSON.stringify({ group: prefix, number: String(host) })],
      );
      await this.dataSource.query(
        `INSERT INTO endpoint (asset_id, transport, address, port, credential, host_keys, source)
         VALUES ($1, 'ssh', $2, $3, $4, $5, 'test')`,
        [id, sshd.address(first + host), sshd.port, credential, hostKeys],
      );
    }
    return names;
  }

  /** Stores a sealed credential. */
  async addCredential(
    name: string,
    kind: 'ssh-private-key' | 'password' | 'token',
    value: string,
    username: string | null = null,
  ): Promise<void> {
    const sealed = this.#keyring.seal(Buffer.from(value), { space: 'default', name, version: 1 });
    await this.dataSource.query(
      `INSERT INTO credential (id, space, name, kind, username, sealed, key_id, version)
       VALUES ($1, 'default', $2, $3, $4, $5, $6, 1)`,
      [uuidv7(), name, kind, username, sealed, this.#keyring.currentKeyId],
    );
  }

  /** Stores a runbook's version as `apply` would. */
  async addRunbook(name: string, spec: Record<string, unknown>): Promise<void> {
    const source = { apiVersion: 'fettle/v1', kind: 'Runbook', metadata: { name }, spec };
    const parsed = runbookDocumentSchema.parse(source);
    const [documentId, versionId] = [uuidv7(), uuidv7()];
    await this.dataSource.query(`INSERT INTO document (id, space, kind, name) VALUES ($1, 'default', 'Runbook', $2)`, [
      documentId,
      name,
    ]);
    await this.dataSource.query(
      `INSERT INTO document_version (id, space, document_id, number, digest, kind, name, source, parsed, created_by)
       VALUES ($1, 'default', $2, 1, $3, 'Runbook', $4, $5, $6, 'tester')`,
      [versionId, documentId, digestOf(source as JsonValue), name, JSON.stringify(source), JSON.stringify(parsed)],
    );
    await this.dataSource.query(`UPDATE document SET current_version_id = $2 WHERE id = $1`, [documentId, versionId]);
  }

  inTransaction<Result>(work: (context: OperationContext) => Promise<Result>): Promise<Result> {
    return this.dataSource.transaction((transaction) =>
      work({
        transaction,
        actor: { principalId: this.principalId, name: 'tester', kind: 'person', requestId: uuidv7() },
        scopeOf: () => null,
      }),
    );
  }

  start(
    runbook: string,
    request: { readonly inputs?: Record<string, unknown>; readonly on?: string } = {},
    options: StartOptions = {},
  ): Promise<RunSummary> {
    return this.inTransaction((context) =>
      startRun(
        context,
        { space: 'default', runbook, inputs: request.inputs ?? {}, on: request.on, allowEmpty: false },
        options,
      ),
    );
  }

  run(runId: string): Promise<RunDetail> {
    return getRun(this.dataSource.manager, runId);
  }

  /** Waits until the run has ended. */
  async ended(runId: string, timeoutMs = 60_000): Promise<RunDetail> {
    const giveUpAtMs = Date.now() + timeoutMs;
    for (;;) {
      const run = await this.run(runId);
      if (run.endedAt !== null) return run;
      if (Date.now() > giveUpAtMs) throw new Error(`run ${runId} is still ${run.state}: ${JSON.stringify(run.counts)}`);
      await sleep(100);
    }
  }

  async close(): Promise<void> {
    for (const clean of this.#cleanUp) await clean();
  }
}
