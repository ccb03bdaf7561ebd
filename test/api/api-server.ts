import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { createApi } from '../../apps/api/dist/create-app.js';
import {
  createNoteSigner,
  createToken,
  generateSealingKeyLine,
  generateSigningKeyPem,
  type NoteSigner,
} from '@fettle/security';
import { AUDIT_ORIGIN } from '@fettle/operations';
import { createTestDatabase } from '../support/postgres.js';

type ApiOptions = Parameters<typeof createApi>;

export interface Answer<Body = unknown> {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Parsed where the answer is JSON. */
  readonly body: Body;
}

export interface CallOptions {
  /** Undefined: the local admin's; null: none. */
  readonly token?: string | null;
  readonly body?: unknown;
  /** Sent as it is, instead of `body`. */
  readonly raw?: string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface TestApi {
  readonly url: string;
  readonly databaseUrl: string;
  readonly adminToken: string;
  readonly signer: NoteSigner;
  call<Body = Record<string, unknown>>(method: string, path: string, options?: CallOptions): Promise<Answer<Body>>;
  sql<Row = Record<string, unknown>>(text: string, values?: unknown[]): Promise<Row[]>;
  /** Creates a principal with one role and gives a token of it. */
  tokenOf(name: string, role: string, selector?: string | null): Promise<string>;
  /** Stops serving; the database stays. */
  stop(): Promise<void>;
  close(): Promise<void>;
}

/** The real API on a free port, with a database of its own. */
export async function startApi(
  overrides: Partial<ApiOptions[0]> = {},
  controllers: NonNullable<ApiOptions[1]> = [],
): Promise<TestApi> {
  const database = await createTestDatabase();
  const dataDir = await mkdtemp(join(tmpdir(), 'fettle-api-'));
  const admin = createToken();
  const pem = generateSigningKeyPem();
  const bootstrapTokenFile = join(dataDir, 'token');
  const auditKeyFile = join(dataDir, 'audit.pem');
  await writeFile(bootstrapTokenFile, `${admin.token}\n`, { mode: 0o600 });
  await writeFile(auditKeyFile, pem, { mode: 0o600 });
  await writeFile(join(dataDir, 'sealing.key'), generateSealingKeyLine(), { mode: 0o600 });
  const settings: ApiOptions[0] = {
    databaseUrl: database.url,
    databasePoolSize: 8,
    dataDir,
    host: '127.0.0.1',
    port: 0,
    logLevel: 'fatal',
    auditKeyFile,
    auditPublicKeyFile: undefined,
    sealingKeyFile: join(dataDir, 'sealing.key'),
    bootstrapTokenFile,
    metricsPublic: false,
    ...overrides,
  };
  const api = await createApi(settings, controllers);
  await api.app.listen(0, '127.0.0.1');
  const address: unknown = api.app.getHttpServer().address();
  const url = `http://127.0.0.1:${(address as { port: number }).port}`;
  const pool = new pg.Pool({ connectionString: database.url, max: 2 });
  pool.on('error', () => undefined);
  const call = caller(url, admin.token);
  let stopped: Promise<void> | null = null;
  const stop = (): Promise<void> => (stopped ??= api.close());
  return {
    url,
    databaseUrl: database.url,
    adminToken: admin.token,
    signer: createNoteSigner(pem, AUDIT_ORIGIN),
    call,
    sql: async <Row>(text: string, values: unknown[] = []) => (await pool.query(text, values)).rows as Row[],
    tokenOf: async (name, role, selector = null) => {
      const bindings = [{ role, space: 'default', selector }];
      const created = await call('POST', '/api/v1/principals', { body: { name, kind: 'service', bindings } });
      if (created.status !== 201) throw new Error(`principal ${name}: ${created.text}`);
      const token = await call<{ token: string }>('POST', '/api/v1/tokens', {
        body: { principal: name, name: 'test' },
      });
      return token.body.token;
    },
    stop,
    close: async () => {
      await pool.end();
      await stop();
      await database.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

function caller(url: string, adminToken: string): TestApi['call'] {
  return async <Body>(method: string, path: string, options: CallOptions = {}) => {
    const headers: Record<string, string> = { ...options.headers };
    const token = options.token === undefined ? adminToken : options.token;
    if (token !== null) headers.authorization ??= `Bearer ${token}`;
    const body = options.raw ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
    if (body !== undefined) headers['content-type'] ??= 'application/json';
    const response = await fetch(`${url}${path}`, {
      method,
      headers,
      ...(body === undefined ? {} : { body: body as string }),
    });
    const text = await response.text();
    const isJson =
      /json/.test(response.headers.get('content-type') ?? '') &&
      !/ndjson/.test(response.headers.get('content-type') ?? '');
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: (isJson ? JSON.parse(text) : text) as Body,
    };
  };
}
