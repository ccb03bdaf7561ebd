import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createToken, generateSigningKeyPem } from '@fettle/security';
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from '../support/postgres.js';

const main = fileURLToPath(new URL('../../apps/api/dist/main.js', import.meta.url));
let database: TestDatabase;
let dataDir: string;
const { token } = createToken();

beforeAll(async () => {
  database = await createTestDatabase();
  dataDir = await mkdtemp(join(tmpdir(), 'fettle-api-'));
  await writeFile(join(dataDir, 'token'), token, { mode: 0o600 });
  await writeFile(join(dataDir, 'audit.pem'), generateSigningKeyPem(), { mode: 0o600 });
}, 180_000);
afterAll(async () => {
  await database?.close();
  await rm(dataDir, { recursive: true, force: true });
});

interface Started {
  readonly child: ChildProcess;
  readonly stderr: () => string;
  readonly url: () => Promise<string>;
}

function start(environment: Record<string, string> = {}): Started {
  const child = spawn(process.execPath, [main], {
    env: {
      PATH: process.env.PATH ?? '',
      DATABASE_URL: database.url,
      TEMPORAL_ADDRESS: '127.0.0.1:1',
      FETTLE_DATA_DIR: dataDir,
      FETTLE_PORT: '0',
      FETTLE_AUDIT_KEY_FILE: join(dataDir, 'audit.pem'),
      FETTLE_BOOTSTRAP_TOKEN_FILE: join(dataDir, 'token'),
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  const lines = createInterface({ input: child.stdout });
  const ready = once(lines, 'line') as Promise<[string]>;
  const url = async (): Promise<string> => {
    const { msg, port } = JSON.parse((await ready)[0]) as { msg: string; port: number };
    expect(msg).toBe('ready');
    return `http://127.0.0.1:${port}`;
  };
  return { child, stderr: () => errors, url };
}

describe('the API process', () => {
  it('says when it is ready, signs the bootstrap token in again after a restart, and stops on SIGTERM', async () => {
    for (let round = 0; round < 2; round += 1) {
      const { child, url, stderr } = start();
      const base = await url();
      const headers = { authorization: `Bearer ${token}` };
      const who = await fetch(`${base}/api/v1/whoami`, { headers });
      expect({ status: who.status, body: await who.json() }).toMatchObject({
        status: 200,
        body: { name: 'local-admin' },
      });
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      expect(await exited).toEqual([0, null]);
      expect(stderr()).not.toContain(token);
    }
  }, 180_000);

  it('serves metrics without a token only where it is told to', async () => {
    const closed = start();
    const open = start({ FETTLE_METRICS_PUBLIC: 'true' });
    expect((await fetch(`${await closed.url()}/metrics`)).status).toBe(401);
    const answer = await fetch(`${await open.url()}/metrics`);
    const text = await answer.text();
    for (const name of [
      'fettle_outbox_unsent',
      'fettle_outbox_oldest_seconds',
      'fettle_audit_unsealed',
      'fettle_runs_open',
      'fettle_runs_unserved',
      'fettle_http_request_duration_seconds',
    ]) {
      expect(text).toContain(`# TYPE ${name} `);
    }
    for (const { child } of [closed, open]) {
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
  }, 180_000);

  it.each([
    ['a missing setting', { DATABASE_URL: '' }, 'DATABASE_URL is not set'],
    [
      'a bootstrap file that others may read',
      { FETTLE_BOOTSTRAP_TOKEN_FILE: '/etc/hostname' },
      'key file /etc/hostname',
    ],
    ['a database that is not there', { DATABASE_URL: 'postgres://x:secret-word@127.0.0.1:1/x' }, 'cannot start'],
  ])(
    'does not start with %s, and says why',
    async (_name, environment, message) => {
      const { child, stderr } = start(environment);
      expect(await once(child, 'exit')).toEqual([1, null]);
      expect(stderr()).toContain(message);
      expect(stderr()).not.toContain('secret-word');
    },
    60_000,
  );

  it('is alive but not ready while the schema is missing', async () => {
    const empty = await createEmptyDatabase();
    const { child, url } = start({ DATABASE_URL: empty.url, FETTLE_BOOTSTRAP_TOKEN_FILE: '' });
    const base = await url();
    expect((await fetch(`${base}/healthz`)).status).toBe(200);
    const ready = await fetch(`${base}/readyz`);
    expect({ status: ready.status, body: await ready.json() }).toMatchObject({
      status: 503,
      body: { code: 'unavailable' },
    });
    child.kill('SIGTERM');
    await once(child, 'exit');
    await empty.close();
  }, 180_000);
});
