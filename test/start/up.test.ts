import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { downCommand, findLocalStack, statusCommand, type Output } from '../../apps/cli/dist/up/index.js';
import { isStillRunning } from '../../apps/cli/dist/up/process-identity.js';
import { findUser, type SystemUser } from '../../apps/cli/dist/up/system-user.js';
import { createTestDatabase } from '../support/postgres.js';
import { testTemporal } from '../support/temporal.js';
import { UpHarness, type UpFixtureOptions } from './up-harness.js';

const NAMES = ['api', 'demo-estate', 'postgres', 'temporal', 'worker'];
/** Root's database runs as another user, who may pass through such a folder. */
const PASSABLE = 0o711;

let harness: UpHarness;
const isRoot = process.getuid?.() === 0;

function capture(): Output & { out: string; err: string } {
  const sink = {
    out: '',
    err: '',
    stdout: { write: (text: string) => void (sink.out += text) },
    stderr: { write: (text: string) => void (sink.err += text) },
  };
  return sink;
}

async function query(database: { port: number; password: string }, text: string): Promise<unknown[]> {
  const { port, password } = database;
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'fettle', password, database: 'fettle' });
  await client.connect();
  try {
    return (await client.query(text)).rows as unknown[];
  } finally {
    await client.end();
  }
}

function databaseOf(of: UpHarness): { port: number; password: string } {
  const ports = JSON.parse(readFileSync(join(of.dataDir, 'ports.json'), 'utf8')) as { postgres: number };
  return { port: ports.postgres, password: readFileSync(join(of.dataDir, 'keys/postgres.password'), 'utf8') };
}

async function start(options: UpFixtureOptions = {}) {
  const up = await harness.up(options);
  await up.ready();
  return up;
}

afterEach(async () => {
  await harness.close();
});

describe('fettle up', () => {
  it('runs five children, keeps secrets for their owner, and refuses a second start without changing anything', async () => {
    harness = new UpHarness({ folderMode: PASSABLE });
    const up = await start();
    const shown = capture();
    expect(await statusCommand({ dataDir: harness.dataDir, output: 'json' }, shown, {})).toBe(0);
    const status = JSON.parse(shown.out) as { url: string; dataDir: string; children: { name: string; pid: number }[] };
    expect(status.dataDir).toBe(harness.dataDir);
    expect(status.children.map(({ name }) => name).sort()).toEqual(NAMES);
    expect((await fetch(`${status.url}/readyz`)).status).toBe(200);
    const local = findLocalStack(harness.dataDir);
    expect(local?.url).toBe(status.url);
    expect(up.text.split(local?.token ?? 'no token')).toHaveLength(2);

    const files = [
      'token',
      'keys/sealing.key',
      'keys/token.key',
      'keys/audit.pem',
      'keys/postgres.password',
      'state.json',
    ];
    for (const file of files) expect([file, statSync(join(harness.dataDir, file)).mode & 0o077]).toEqual([file, 0]);
    for (const folder of ['keys', 'logs', 'temporal']) {
      expect([folder, statSync(join(harness.dataDir, folder)).mode & 0o077]).toEqual([folder, 0]);
    }
    const guess = { port: databaseOf(harness).port, password: 'guess' };
    await expect(query(guess, 'select 1')).rejects.toThrow('password authentication failed');

    const before = harness.state();
    const second = await harness.up();
    expect(await second.exited).toBe(1);
    expect(second.text).toContain('runs already');
    expect(second.text).toContain('nothing was changed');
    expect(harness.state()).toEqual(before);

    expect(await up.interrupt()).toBe(0);
    for (const child of before?.children ?? []) expect(isStillRunning(child)).toBe(false);
    expect(await statusCommand({ dataDir: harness.dataDir }, capture(), {})).toBe(1);
  }, 90_000);

  it('restarts children that are killed, and keeps the data', async () => {
    harness = new UpHarness({ folderMode: PASSABLE });
    const up = await start();
    await query(databaseOf(harness), 'create table kept as select 42 as answer');
    for (const name of ['worker', 'api', 'temporal', 'postgres']) {
      const pid = await harness.pidOf(name);
      process.kill(pid, 'SIGKILL');
      expect(await harness.pidOf(name, pid)).not.toBe(pid);
      expect(up.text).toContain(`${name} ended (signal SIGKILL); restart 1 of 5`);
    }
    const url = harness.state()?.url ?? '';
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    expect(await up.interrupt()).toBe(0);
    const again = await start();
    expect(await query(databaseOf(harness), 'select answer from kept')).toEqual([{ answer: 42 }]);
    await again.interrupt();
  }, 90_000);

  it('cleans up after a supervisor that was killed', async () => {
    harness = new UpHarness({ folderMode: PASSABLE });
    const first = await start();
    await query(databaseOf(harness), 'create table kept as select 42 as answer');
    const before = harness.state();
    const ports = readFileSync(join(harness.dataDir, 'ports.json'), 'utf8');
    first.child.kill('SIGKILL');
    await first.exited;
    // Others may end by themselves when nobody reads their output any more; Postgres never does.
    expect((before?.children ?? []).filter((child) => isStillRunning(child)).map(({ name }) => name)).toContain(
      'postgres',
    );
    const second = await start();
    expect(second.text).toContain('ending postgres');
    for (const child of before?.children ?? []) expect(isStillRunning(child)).toBe(false);
    expect(readFileSync(join(harness.dataDir, 'ports.json'), 'utf8')).toBe(ports);
    expect(await query(databaseOf(harness), 'select answer from kept')).toEqual([{ answer: 42 }]);
    await second.interrupt();
  }, 90_000);

  it('says who holds the port, and starts nothing', async () => {
    harness = new UpHarness({ folderMode: PASSABLE });
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    try {
      const up = await harness.up({ port });
      expect(await up.exited).toBe(1);
      expect(up.text).toContain(`port ${port} on 127.0.0.1 is taken by process ${process.pid}`);
      expect(up.text).toContain('--port');
      expect(existsSync(join(harness.dataDir, 'state.json'))).toBe(false);
    } finally {
      server.close();
    }
  }, 30_000);

  it('uses the database and the Temporal that the environment names, and starts none of its own', async () => {
    harness = new UpHarness({ folderMode: PASSABLE });
    const database = await createTestDatabase();
    const { address } = testTemporal();
    const password = new URL(database.url).password;
    try {
      const up = await harness.up({}, { DATABASE_URL: database.url, TEMPORAL_ADDRESS: address });
      await up.ready();
      const names = harness.state()?.children.map(({ name }) => name);
      expect(names?.sort()).toEqual(NAMES.filter((name) => name !== 'postgres' && name !== 'temporal'));
      for (const name of ['api', 'worker']) {
        const environment = readFileSync(`/proc/${await harness.pidOf(name)}/environ`, 'utf8').split('\0');
        expect(environment).toContain(`DATABASE_URL=${database.url}`);
        expect(environment).toContain(`TEMPORAL_ADDRESS=${address}`);
      }
      expect(await up.interrupt()).toBe(0);
      expect(up.text).toContain(`using Temporal at ${address}`);
      expect(up.text).toContain('using the database postgres://');
      expect(password).not.toBe('');
      expect(up.text).not.toContain(password);
      for (const unused of ['postgres', 'temporal', 'postgres-folder', 'logs/postgres.log', 'logs/temporal.log']) {
        expect([unused, existsSync(join(harness.dataDir, unused))]).toEqual([unused, false]);
      }
    } finally {
      await database.close();
    }
  }, 60_000);

  it.each([
    [
      'DATABASE_URL',
      'postgres://u:secret-word@127.0.0.1:9/fettle',
      'DATABASE_URL names postgres://u@127.0.0.1:9/fettle',
    ],
    ['TEMPORAL_ADDRESS', '127.0.0.1:9', 'TEMPORAL_ADDRESS names 127.0.0.1:9'],
  ])(
    'starts nothing where %s names what does not answer',
    async (name, value, message) => {
      harness = new UpHarness({ folderMode: PASSABLE });
      const database = await createTestDatabase();
      try {
        const others = { DATABASE_URL: database.url, TEMPORAL_ADDRESS: testTemporal().address };
        const up = await harness.up({}, { ...others, [name]: value });
        expect(await up.exited).toBe(1);
        expect(up.text).toContain(`${message}, which does not answer`);
        expect(up.text).not.toContain('secret-word');
        expect(harness.state()).toBeUndefined();
      } finally {
        await database.close();
      }
    },
    60_000,
  );

  it('stops everything with exit code 1 when a child dies too often', async () => {
    harness = new UpHarness({ folderMode: PASSABLE });
    const up = await harness.up({ workerProgram: 'dies' });
    expect(await up.exited).toBe(1);
    expect(up.text).toContain('restart 5 of 5');
    expect(up.text).toContain('this program never becomes ready');
    expect(harness.state()).toBeUndefined();
  }, 60_000);

  it('waits for a worker that ends its work before it stops', async () => {
    harness = new UpHarness({ folderMode: PASSABLE });
    const up = await start({ demo: false, workerProgram: 'takes-long-to-stop' });
    expect(await up.interrupt()).toBe(0);
    expect(readFileSync(join(harness.dataDir, 'logs/worker.log'), 'utf8')).toContain('stopped in good order');
  }, 90_000);

  it('detaches when ready, and down stops it', async () => {
    harness = new UpHarness({ folderMode: PASSABLE });
    const up = await harness.up({ detach: true, demo: false });
    expect(await up.exited).toBe(0);
    const token = readFileSync(join(harness.dataDir, 'token'), 'utf8').trim();
    expect(up.text.split(token)).toHaveLength(2);
    expect(readFileSync(join(harness.dataDir, 'logs/supervisor.log'), 'utf8')).not.toContain(token);
    const children = harness.state()?.children ?? [];
    expect(children.map(({ name }) => name).sort()).toEqual(NAMES.filter((name) => name !== 'demo-estate'));
    expect(await downCommand({ dataDir: harness.dataDir }, capture(), {})).toBe(0);
    for (const child of children) expect(isStillRunning(child)).toBe(false);
    expect(await downCommand({ dataDir: harness.dataDir }, capture(), {})).toBe(0);
  }, 90_000);
});

describe('fettle up as root, and as an ordinary user', () => {
  it('puts the database where its user can enter when only root may enter the data directory', async () => {
    harness = new UpHarness({ folderMode: 0o700 });
    const up = await start();
    const uid = statUid(await harness.pidOf('postgres'));
    if (isRoot) {
      expect(harness.databaseElsewhere()).toMatch(/^\/var\/lib\/fettle\//);
      expect(up.text).toContain(`the database lies in ${harness.databaseElsewhere()}`);
      expect(uid).not.toBe(0);
    } else {
      expect(harness.databaseElsewhere()).toBeUndefined();
      expect(uid).toBe(process.getuid?.());
    }
    await up.interrupt();
    const again = await start();
    expect(again.text).not.toContain('copying');
    await again.interrupt();
  }, 90_000);

  it('runs everything as the ordinary user who starts it', async () => {
    const user = ordinaryUser();
    harness = new UpHarness({ folderMode: 0o755, ...(isRoot ? { user } : {}) });
    const up = await start();
    for (const name of NAMES) expect([name, statUid(await harness.pidOf(name))]).toEqual([name, user.uid]);
    expect(harness.databaseElsewhere()).toBeUndefined();
    expect(await up.interrupt()).toBe(0);
  }, 90_000);
});

/** `nobody` stands for the ordinary user when root runs the tests; else it is whoever runs them. */
function ordinaryUser(): SystemUser {
  if (!isRoot) return { name: 'self', uid: process.getuid?.() ?? -1, gid: process.getgid?.() ?? -1 };
  const nobody = findUser(readFileSync('/etc/passwd', 'utf8'), 'nobody');
  if (nobody === undefined) throw new Error('this machine has no user nobody');
  return nobody;
}

function statUid(pid: number): number {
  return Number(spawnSync('ps', ['-o', 'uid=', '-p', String(pid)], { encoding: 'utf8' }).stdout.trim());
}
