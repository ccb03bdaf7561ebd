import { isAbsolute, resolve } from 'node:path';
import { FettleError } from '@fettle/contracts';
import { z } from 'zod';

export const DEFAULT_PORT = 7070;
export const DEFAULT_HOST = '127.0.0.1';
export const DEFAULT_NAMESPACE = 'default';
export const DEFAULT_TASK_QUEUE = 'fettle';
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;

/** What a server process of Fettle reads from its environment. Frozen; no other module reads `process.env`. */
export interface ProcessConfig {
  /** `postgres://...`; holds a password, so it must never be logged: see {@link describeDatabase}. */
  readonly databaseUrl: string;
  /** Connections that one process keeps open at most. */
  readonly databasePoolSize: number;
  /** `host:port` of Temporal's front end. */
  readonly temporalAddress: string;
  readonly temporalNamespace: string;
  readonly temporalTaskQueue: string;
  /** Name of the worker deployment in Temporal; undefined: workers are not versioned, and a new one takes up the runs of an old one. */
  readonly workerDeployment: string | undefined;
  /** Names this build in the deployment; undefined: it is made from the version and the digest of the workflows. */
  readonly buildId: string | undefined;
  /** Absolute path. */
  readonly dataDir: string;
  readonly host: string;
  /** 0 lets the kernel choose. */
  readonly port: number;
  /** Where the API is reached from outside, without a slash at the end; links in messages start with it. */
  readonly publicUrl: string;
  readonly logLevel: (typeof LOG_LEVELS)[number];
  /** 32 bytes; seals credentials (AES-256-GCM). */
  readonly sealingKeyFile: string;
  /** Key of the HMAC that makes effect tokens. */
  readonly tokenKeyFile: string;
  /** Ed25519 private key (PEM, PKCS 8) that signs the audit log's checkpoints. */
  readonly auditKeyFile: string;
  /** Its public half (SPKI in PEM), for processes that do not sign; undefined: it is taken from `auditKeyFile`. */
  readonly auditPublicKeyFile: string | undefined;
  /** `/metrics` answers without a token; otherwise it needs the permission `system:read`. */
  readonly metricsPublic: boolean;
  /** The first sign-in token of principal `local-admin`; undefined: none is set up. */
  readonly bootstrapTokenFile: string | undefined;
}

/**
 * Seven of a worker's background tasks hold one connection with their lock while they take a second for each row they settle (who calls
 * `dataSource.transaction` in `apps/worker/src/background`). With fewer than eight they could wait for each other for ever; the rest is
 * for what is to go on beside them.
 */
const MIN_POOL_SIZE = 10;
const MAX_POOL_SIZE = 200;

const DEPLOYMENT_NAME = /^[A-Za-z0-9_-]{1,100}$/;
const BUILD_ID = /^[A-Za-z0-9._+-]{1,100}$/;

const portSchema = z.coerce.number().int().min(0).max(65_535);
const environmentSchema = z.object({
  DATABASE_URL: z.string().regex(/^postgres(ql)?:\/\//, { message: 'must start with postgres:// or postgresql://' }),
  FETTLE_DATABASE_POOL: z.coerce.number().int().min(MIN_POOL_SIZE).max(MAX_POOL_SIZE).default(20),
  TEMPORAL_ADDRESS: z.string().regex(/^(\[[0-9a-fA-F:]+\]|[^\s:]+):\d{1,5}$/, { message: 'must be host:port' }),
  TEMPORAL_NAMESPACE: z.string().min(1).max(255).default(DEFAULT_NAMESPACE),
  FETTLE_TASK_QUEUE: z.string().min(1).max(255).default(DEFAULT_TASK_QUEUE),
  // Temporal joins the two by a dot or a colon.
  FETTLE_WORKER_DEPLOYMENT: z
    .string()
    .regex(DEPLOYMENT_NAME, { message: 'must be letters, digits, - and _' })
    .optional(),
  FETTLE_BUILD_ID: z.string().regex(BUILD_ID, { message: 'must be letters, digits and ._+-, at most 100' }).optional(),
  FETTLE_DATA_DIR: z.string().min(1),
  FETTLE_HOST: z.string().min(1).default(DEFAULT_HOST),
  FETTLE_PORT: portSchema.default(DEFAULT_PORT),
  FETTLE_PUBLIC_URL: z.url({ protocol: /^https?$/ }).optional(),
  FETTLE_LOG_LEVEL: z.enum(LOG_LEVELS).default('info'),
  FETTLE_METRICS_PUBLIC: z.stringbool().default(false),
  FETTLE_SEALING_KEY_FILE: z.string().min(1).optional(),
  FETTLE_TOKEN_KEY_FILE: z.string().min(1).optional(),
  FETTLE_AUDIT_KEY_FILE: z.string().min(1).optional(),
  FETTLE_AUDIT_PUBLIC_KEY_FILE: z.string().min(1).optional(),
  FETTLE_BOOTSTRAP_TOKEN_FILE: z.string().min(1).optional(),
});

/** Names of key files in the data directory's folder `keys`, used where no path is given. */
export const KEY_FILE_NAMES = { sealing: 'sealing.key', token: 'token.key', audit: 'audit.pem' } as const;

/**
 * Parses the environment once; a wrong or missing value stops the start.
 * @throws FettleError `invalid-config`, naming all wrong variables at once, never their values (they may be secrets).
 */
export function parseConfig(env: Readonly<Record<string, string | undefined>>): ProcessConfig {
  // `NAME=` in a service file means "not set".
  const present = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const parsed = environmentSchema.safeParse(present);
  if (!parsed.success) throw invalidConfig(parsed.error);
  const values = parsed.data;
  const dataDir = resolve(values.FETTLE_DATA_DIR);
  const keyFile = (given: string | undefined, name: string): string =>
    given === undefined ? resolve(dataDir, 'keys', name) : absolute(given, dataDir);
  const optionalFile = (given: string | undefined): string | undefined =>
    given === undefined ? undefined : absolute(given, dataDir);
  return Object.freeze({
    databaseUrl: values.DATABASE_URL,
    databasePoolSize: values.FETTLE_DATABASE_POOL,
    temporalAddress: values.TEMPORAL_ADDRESS,
    temporalNamespace: values.TEMPORAL_NAMESPACE,
    temporalTaskQueue: values.FETTLE_TASK_QUEUE,
    workerDeployment: values.FETTLE_WORKER_DEPLOYMENT,
    buildId: values.FETTLE_BUILD_ID,
    dataDir,
    host: values.FETTLE_HOST,
    port: values.FETTLE_PORT,
    publicUrl: (values.FETTLE_PUBLIC_URL ?? httpUrl(values.FETTLE_HOST, values.FETTLE_PORT)).replace(/\/+$/, ''),
    logLevel: values.FETTLE_LOG_LEVEL,
    sealingKeyFile: keyFile(values.FETTLE_SEALING_KEY_FILE, KEY_FILE_NAMES.sealing),
    tokenKeyFile: keyFile(values.FETTLE_TOKEN_KEY_FILE, KEY_FILE_NAMES.token),
    auditKeyFile: keyFile(values.FETTLE_AUDIT_KEY_FILE, KEY_FILE_NAMES.audit),
    auditPublicKeyFile: optionalFile(values.FETTLE_AUDIT_PUBLIC_KEY_FILE),
    metricsPublic: values.FETTLE_METRICS_PUBLIC,
    bootstrapTokenFile: optionalFile(values.FETTLE_BOOTSTRAP_TOKEN_FILE),
  });
}

/** The database without its password, fit for a log: `postgres://user@host:port/name`. */
export function describeDatabase(databaseUrl: string): string {
  try {
    const url = new URL(databaseUrl);
    const user = url.username === '' ? '' : `${url.username}@`;
    return `${url.protocol}//${user}${url.host}${url.pathname}`;
  } catch {
    return 'a database URL that cannot be parsed';
  }
}

/** RFC 3986: an IPv6 address stands in brackets. */
export function httpUrl(host: string, port: number): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function absolute(path: string, base: string): string {
  return isAbsolute(path) ? path : resolve(base, path);
}

function invalidConfig(error: z.ZodError): FettleError {
  const problems = error.issues.map((issue) => {
    const missing = issue.code === 'invalid_type' && issue.input === undefined && issue.message.includes('undefined');
    return `${issue.path.join('.')} ${missing ? 'is not set' : issue.message}`;
  });
  return new FettleError({
    code: 'invalid-config',
    message: `the environment is not usable: ${problems.join('; ')}`,
    remedy: 'Correct these variables and start again; `fettle up` sets all of them.',
    detail: { variables: error.issues.map((issue) => issue.path.join('.')) },
  });
}
