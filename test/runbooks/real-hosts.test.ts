import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunDetail } from '@fettle/contracts';
import { SshPool, type SshCredential } from '@fettle/drivers';
import pg from 'pg';
import { ensureDebianPackages } from '../support/debian-packages.js';
import { createEmptyDatabase, type TestDatabase } from '../support/postgres.js';
import { readyMade } from '../support/ready-made.js';
import { endpointOf, failureOf, run as runCommand } from '../support/ssh-client.js';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

const shell = promisify(execFile);
const PATIENCE_MS = 240_000;

describe('ready-made runbooks on real hosts', () => {
  let stack: TestStack;
  let sshd: Sshd;
  let worker: WorkerProcess;
  let folder: string;

  beforeAll(async () => {
    await ensureDebianPackages(['postgresql-client', 'openssl']);
    folder = await mkdtemp('/tmp/fettle-ready-made-');
    [stack, sshd] = await Promise.all([
      TestStack.create(),
      startSshd({ users: [{ sudoers: 'ALL=(ALL) NOPASSWD: ALL' }] }),
    ]);
    await stack.addHosts(sshd, 1);
    for (const name of [
      'certificate-renewal',
      'config-rollout',
      'disk-cleanup',
      'incident-logs',
      'postgres-maintenance',
      'rotate-ssh-key',
      'user-offboard',
      'user-onboard',
    ])
      await stack.addRunbook(name, everywhere(readyMade(name).written));
    worker = await stack.startWorker();
  }, PATIENCE_MS);

  afterAll(async () => {
    await worker?.stop();
    await sshd?.stop();
    await stack?.close();
    await rm(folder, { recursive: true, force: true });
  }, PATIENCE_MS);

  /** The hosts of the test are servers; what a runbook is for is said by its selector, which is not what is tested here. */
  const everywhere = (spec: Record<string, unknown>) => ({ ...spec, targets: 'asset.kind == "server"' });

  async function go(runbook: string, inputs: Record<string, unknown>): Promise<RunDetail> {
    return stack.ended((await stack.start(runbook, { inputs })).id, PATIENCE_MS);
  }

  /** How a run ended, with what each step said where it is not as expected. */
  const ended = (run: RunDetail) => ({
    state: run.state,
    rollback: run.rollback,
    steps: Object.fromEntries(
      (run.targets[0]?.steps ?? []).map(({ step, state, error }) => [step, error?.code ?? state]),
    ),
  });

  async function makeKey(name: string): Promise<{ privateKey: string; publicKey: string }> {
    const file = join(folder, name);
    await shell('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', file]);
    return { privateKey: await readFile(file, 'utf8'), publicKey: (await readFile(`${file}.pub`, 'utf8')).trim() };
  }

  /** Whether the host lets somebody in now, by a connection of its own. */
  async function letsIn(privateKey: string, user = sshd.account.user): Promise<boolean> {
    const pool = new SshPool();
    const credential: SshCredential = { kind: 'private-key', privateKey };
    try {
      const endpoint = { ...(await endpointOf(sshd)), user };
      const attempt = runCommand(pool, endpoint, credential, { argv: ['true'] });
      if (
        await attempt.then(
          ({ result }) => 'exitCode' in result && result.exitCode === 0,
          () => false,
        )
      )
        return true;
      expect((await failureOf(attempt)).code).toBe('authentication-failed');
      return false;
    } finally {
      await pool.close();
    }
  }

  async function credentialInUse(): Promise<string> {
    const [row] = await stack.dataSource.query<{ credential: string }[]>(`SELECT credential FROM endpoint`);
    return row!.credential;
  }

  it(
    'rotate-ssh-key: a key that is not let in changes nothing, and one that is takes the place of the old one',
    async () => {
      const file = join(sshd.account.home, '.ssh/authorized_keys');
      const before = await readFile(file, 'utf8');
      const oldPublicKey = before.trim();
      const oldCredential = await credentialInUse();
      const [wanted, other] = [await makeKey('fleet-new'), await makeKey('fleet-other')];
      await stack.addCredential('fleet-new', 'ssh-private-key', wanted.privateKey, sshd.account.user);
      await stack.addCredential('fleet-other', 'ssh-private-key', other.privateKey, sshd.account.user);

      // The public key of one, the private key of the other.
      const inputs = { oldPublicKey, newPublicKey: wanted.publicKey };
      const refused = await go('rotate-ssh-key', { ...inputs, newCredential: 'fleet-other' });
      expect(ended(refused)).toMatchObject({
        state: 'failed',
        steps: { use_new: 'credential-refused', 'add_new#undo': 'succeeded' },
      });
      expect(await readFile(file, 'utf8')).toBe(before);
      expect(await credentialInUse()).toBe(oldCredential);

      const rotated = await go('rotate-ssh-key', { ...inputs, newCredential: 'fleet-new' });
      expect(ended(rotated)).toMatchObject({ state: 'succeeded' });
      expect((await readFile(file, 'utf8')).trim()).toBe(wanted.publicKey);
      expect(await credentialInUse()).toBe('fleet-new');
      expect([await letsIn(sshd.account.privateKey), await letsIn(wanted.privateKey)]).toEqual([false, true]);
      const audited: { detail: unknown }[] = await stack.dataSource.query(
        `SELECT convert_from(canonical, 'UTF8')::jsonb -> 'detail' AS detail FROM audit_record WHERE action = 'asset.use-credential'`,
      );
      expect(audited.map(({ detail }) => detail)).toEqual([
        { before: oldCredential, after: 'fleet-new', runId: rotated.id },
      ]);
    },
    PATIENCE_MS,
  );

  it(
    'config-rollout: what is not valid never counts, what does not work is put back, what works stays',
    async () => {
      const path = join(folder, 'app.conf');
      const marker = join(folder, 'reloads');
      await writeFile(path, 'workers = 4\n');
      const inputs = {
        path,
        validate: ['grep', '-q', '^workers = ', '{}'],
        reload: ['sh', '-c', 'cp "$1" "$2"', 'reload', path, marker],
        health: ['grep', '-q', '^workers = [0-9]*$', path],
      };
      const invalid = await go('config-rollout', { ...inputs, content: 'wokers = 8\n' });
      expect(ended(invalid)).toMatchObject({
        state: 'failed',
        steps: { validate: 'command-failed', 'stage#undo': 'succeeded' },
      });
      expect([await readFile(path, 'utf8'), existsSync(marker)]).toEqual(['workers = 4\n', false]);

      const broken = await go('config-rollout', { ...inputs, content: 'workers = many\n' });
      expect(ended(broken)).toMatchObject({
        state: 'failed',
        steps: { health: 'command-failed', 'swap#undo': 'succeeded' },
      });
      expect([await readFile(path, 'utf8'), await readFile(marker, 'utf8')]).toEqual([
        'workers = 4\n',
        'workers = 4\n',
      ]);

      const good = await go('config-rollout', { ...inputs, content: 'workers = 8\n' });
      expect(ended(good)).toMatchObject({ state: 'succeeded' });
      expect([await readFile(path, 'utf8'), await readFile(marker, 'utf8')]).toEqual([
        'workers = 8\n',
        'workers = 8\n',
      ]);
      // Nothing of it is left beside the file.
      const { stdout } = await shell('find', [folder, '-name', 'app.conf*']);
      expect(stdout.trim()).toBe(path);
    },
    PATIENCE_MS,
  );

  it(
    'incident-logs: packs what was written, and can be read by its owner only',
    async () => {
      const logs = join(folder, 'logs');
      await shell('mkdir', ['-p', logs]);
      await writeFile(join(logs, 'app.log'), 'it broke\n');
      const directory = join(folder, 'incidents');
      const run = await go('incident-logs', {
        incident: 'INC-1',
        minutes: 5,
        paths: [logs],
        directory,
        maxMegabytes: 5,
      });
      expect(ended(run)).toMatchObject({ state: 'succeeded' });
      const archive = join(directory, 'INC-1-host-000.tar.gz');
      const { stdout } = await shell('tar', ['-xzOf', archive, `./files${logs}/app.log`]);
      expect(stdout).toBe('it broke\n');
      await shell('sha256sum', ['-c', `${archive}.sha256`], { cwd: directory });
      expect((await shell('stat', ['-c', '%a', archive])).stdout.trim()).toBe('600');
      expect((await shell('ls', [directory])).stdout.trim().split('\n')).toHaveLength(2);
    },
    PATIENCE_MS,
  );

  it(
    'certificate-renewal: a certificate for another key is put back, a good one stays',
    async () => {
      const [certificate, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
      const make = (days: string, keyout: string, out: string) => [
        ...[
          'req',
          '-x509',
          '-newkey',
          'ec',
          '-pkeyopt',
          'ec_paramgen_curve:prime256v1',
          '-nodes',
          '-subj',
          '/CN=www.example',
        ],
        ...['-days', days, '-keyout', keyout, '-out', out],
      ];
      await shell('openssl', make('3', key, certificate));
      const before = await readFile(certificate, 'utf8');
      const inputs = { certificate, key, days: 30 };
      const wrong = await go('certificate-renewal', {
        ...inputs,
        renew: ['openssl', ...make('90', '/dev/null', certificate)],
      });
      expect(ended(wrong)).toMatchObject({
        state: 'failed',
        steps: { check: 'command-failed', 'renew#undo': 'succeeded' },
      });
      expect(await readFile(certificate, 'utf8')).toBe(before);
      const right = await go('certificate-renewal', { ...inputs, renew: ['openssl', ...make('90', key, certificate)] });
      expect(ended(right)).toMatchObject({ state: 'succeeded' });
      await shell('openssl', ['x509', '-in', certificate, '-noout', '-checkend', String(80 * 86400)]);
      const again = await go('certificate-renewal', { ...inputs, renew: ['false'] });
      expect(ended(again)).toMatchObject({ state: 'succeeded', steps: { renew: 'skipped' } });
    },
    PATIENCE_MS,
  );

  it(
    'user-onboard and user-offboard: somebody is let in, and then nobody is',
    async () => {
      const login = `fettle-${randomBytes(4).toString('hex')}`;
      const key = await makeKey(login);
      try {
        const on = await go('user-onboard', {
          login,
          fullName: 'Ada L.',
          groups: ['adm'],
          publicKeys: [key.publicKey],
        });
        expect(ended(on)).toMatchObject({ state: 'succeeded' });
        expect((await shell('id', ['-nG', login])).stdout).toContain('adm');
        expect(await letsIn(key.privateKey, login)).toBe(true);
        const off = await go('user-offboard', { login });
        expect(ended(off)).toMatchObject({ state: 'succeeded' });
        expect(await letsIn(key.privateKey, login)).toBe(false);
        // A second time there is nothing to do, and it does no harm.
        expect(ended(await go('user-offboard', { login }))).toMatchObject({ state: 'succeeded' });
      } finally {
        await shell('userdel', ['--remove', '--force', login]).catch(() => undefined);
      }
    },
    PATIENCE_MS,
  );

  it(
    'postgres-maintenance: rebuilds what a build left invalid, and says so where it cannot',
    async () => {
      const database: TestDatabase = await createEmptyDatabase();
      const url = new URL(database.url);
      const client = new pg.Client({ connectionString: database.url });
      await client.connect();
      try {
        await stack.addCredential('db-password', 'password', decodeURIComponent(url.password) || 'none');
        const name = url.pathname.slice(1);
        const inputs = {
          database: name,
          connection: `host=${url.hostname} port=${url.port} user=${decodeURIComponent(url.username)}`,
          password: 'db-password',
          runAs: 'root',
          reindexTables: ['orders'],
        };
        await client.query('CREATE TABLE orders (number integer)');
        await client.query('INSERT INTO orders VALUES (1), (2), (2)');
        // Both fail and leave what they began: one under its own name, one as REINDEX calls it.
        await expect(client.query('CREATE UNIQUE INDEX CONCURRENTLY orders_number ON orders (number)')).rejects.toThrow(
          /could not create unique index/,
        );
        await expect(client.query('REINDEX INDEX CONCURRENTLY orders_number')).rejects.toThrow(
          /could not create unique index/,
        );
        const indexes = async (): Promise<string[]> => {
          const { rows } = await client.query<{ text: string }>(
            `SELECT relname || CASE WHEN indisvalid THEN '' ELSE ' invalid' END AS text
           FROM pg_index JOIN pg_class ON oid = indexrelid WHERE indrelid = 'orders'::regclass ORDER BY 1`,
          );
          return rows.map(({ text }) => text);
        };
        expect(await indexes()).toEqual(['orders_number invalid', 'orders_number_ccnew invalid']);

        const hopeless = await go('postgres-maintenance', inputs);
        expect(ended(hopeless)).toMatchObject({ state: 'failed', steps: { clear: 'command-failed' } });
        expect(await indexes()).toContain('orders_number invalid');

        await client.query('DELETE FROM orders WHERE ctid NOT IN (SELECT min(ctid) FROM orders GROUP BY number)');
        const mended = await go('postgres-maintenance', inputs);
        expect(ended(mended)).toMatchObject({ state: 'succeeded' });
        expect(await indexes()).toEqual(['orders_number']);
        const { rows } = await client.query<{ vacuumed: boolean }>(
          `SELECT last_vacuum IS NOT NULL AS vacuumed FROM pg_stat_user_tables WHERE relname = 'orders'`,
        );
        expect(rows).toEqual([{ vacuumed: true }]);
      } finally {
        await client.end();
        await database.close();
      }
    },
    PATIENCE_MS,
  );
});
