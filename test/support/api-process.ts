import { spawn, type ChildProcess } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AUDIT_ORIGIN } from '@fettle/operations';
import { createToken, splitCheckpoints, verifyExport, type ExportReport } from '@fettle/security';

const apiScript = fileURLToPath(new URL('../../apps/api/dist/main.js', import.meta.url));
const READY_TIMEOUT_MS = 60_000;

/** One API process; it can be killed like any other. */
export class ApiProcess {
  readonly url: string;
  readonly token: string;
  readonly #child: ChildProcess;
  readonly #log: () => string;

  private constructor(child: ChildProcess, url: string, token: string, log: () => string) {
    this.#child = child;
    this.url = url;
    this.token = token;
    this.#log = log;
  }

  /** `port` 0 lets the kernel choose; the token signs in `local-admin` and outlives the process. */
  static async start(environment: NodeJS.ProcessEnv, options: { readonly port?: number } = {}): Promise<ApiProcess> {
    const tokenFile = join(environment.FETTLE_DATA_DIR!, 'bootstrap-token');
    const known = await readFile(tokenFile, 'utf8').catch(() => null);
    const token = known ?? createToken().token;
    if (known === null) await writeFile(tokenFile, token, { mode: 0o600 });
    const child = spawn(process.execPath, [apiScript], {
      env: { ...environment, FETTLE_PORT: String(options.port ?? 0), FETTLE_BOOTSTRAP_TOKEN_FILE: tokenFile },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let errors = '';
    child.stderr.on('data', (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-200_000)));
    const port = await new Promise<number>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`the API did not start: ${errors}`)), READY_TIMEOUT_MS);
      child.stdout.on('data', (chunk: Buffer) => {
        const ready = /\{"msg":"ready","port":(\d+)\}/.exec(chunk.toString());
        if (!ready) return;
        clearTimeout(timer);
        resolve(Number(ready[1]));
      });
      child.once('exit', (code) => {
        clearTimeout(timer);
        reject(new Error(`the API ended with ${String(code)}: ${errors}`));
      });
    });
    return new ApiProcess(child, `http://127.0.0.1:${port}`, token, () => errors);
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  get log(): string {
    return this.#log();
  }

  /** False once it has exited, by itself or by a signal. */
  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (!this.isRunning) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill(signal);
    await ended;
  }

  /** As the console and the CLI call it. */
  async call(
    method: string,
    path: string,
    options: { readonly body?: unknown; readonly headers?: Record<string, string> } = {},
  ): Promise<{ readonly status: number; readonly body: Record<string, unknown>; readonly text: string }> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...options.headers,
      },
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
    });
    const text = await response.text();
    const isJson = /^application\/(problem\+)?json/.test(response.headers.get('content-type') ?? '');
    return { status: response.status, text, body: isJson ? (JSON.parse(text) as Record<string, unknown>) : {} };
  }

  /** Exports the log and verifies it with the checkpoints that the worker keeps beside the database. */
  async verifyAudit(checkpointFile: string): Promise<ExportReport> {
    const exported = await this.call('GET', '/api/v1/audit/export');
    if (exported.status !== 200) throw new Error(`export: ${exported.status} ${exported.text}`);
    const key = await this.call('GET', '/api/v1/audit/key');
    const lines = exported.text.split('\n');
    return verifyExport({
      readLines: () => lines,
      checkpoints: splitCheckpoints(await readFile(checkpointFile, 'utf8')),
      publicKey: String(key.body.publicKeyPem),
      origin: AUDIT_ORIGIN,
    });
  }
}
