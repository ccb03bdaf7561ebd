import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { SshPool, type SshCredential } from '@fettle/drivers';
import { ensureDebianPackages } from '../support/debian-packages.js';
import { ended, PATIENCE_MS, ReadyMadeHosts } from '../support/ready-made-hosts.js';
import { readyMade } from '../support/ready-made.js';
import { endpointOf, failureOf, run as runCommand } from '../support/ssh-client.js';
import type { Sshd } from '../support/sshd.js';
import type { TestStack } from '../support/stack.js';

const shell = promisify(execFile);

describe('ready-made runbooks on real hosts', () => {
  let hosts: ReadyMadeHosts;
  let stack: TestStack;
  let sshd: Sshd;
  let folder: string;

  beforeAll(async () => {
    await ensureDebianPackages(['openssl']);
    folder = await mkdtemp('/tmp/fettle-ready-made-');
    hosts = await ReadyMadeHosts.start([
      'certificate-renewal',
      'config-rollout',
      'disk-cleanup',
      'incident-logs',
      'rotate-ssh-key',
      'user-offboard',
      'user-onboard',
    ]);
    ({ stack, sshd } = hosts);
  }, PATIENCE_MS);

  afterAll(async () => {
    await hosts?.close();
    await rm(folder, { recursive: true, force: true });
  }, PATIENCE_MS);

  const go = (runbook: string, inputs: Record<string, unknown>) => hosts.go(runbook, inputs);

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

  it('rotate-ssh-key: the old key is put back with the options that it had', async () => {
    const home = join(folder, 'rotated');
    const file = join(home, '.ssh/authorized_keys');
    await shell('mkdir', ['-p', join(home, '.ssh')]);
    const before = `from="10.0.0.0/8",restrict ssh-ed25519 AAAAold fleet\nssh-ed25519 AAAAnew fleet\n`;
    await writeFile(file, before);
    const step = readyMade('rotate-ssh-key').spec.steps.find(
      (one) => 'id' in one && one.id === 'remove_old',
    ) as unknown as {
      with: { script: string };
      rollback: { with: { script: string } };
    };
    const play = (script: string, ...given: string[]) =>
      shell('sh', ['-c', script, 'script', ...given], { env: { ...process.env, HOME: home } });
    const [old, wanted] = ['ssh-ed25519 AAAAold fleet', 'ssh-ed25519 AAAAnew fleet'];
    // Twice each: an attempt may be made once more.
    for (let round = 0; round < 2; round += 1) await play(step.with.script, old, wanted, 'run-1');
    expect(await readFile(file, 'utf8')).toBe('ssh-ed25519 AAAAnew fleet\n');
    expect((await shell('stat', ['-c', '%a', `${file}.fettle-removed-run-1`])).stdout.trim()).toBe('600');
    for (let round = 0; round < 2; round += 1) await play(step.rollback.with.script, old, 'run-1');
    expect((await readFile(file, 'utf8')).split('\n').sort()).toEqual(before.split('\n').sort());
    await writeFile(file, 'ssh-ed25519 AAAAnew fleet\n');
    await expect(play(step.rollback.with.script, old, 'run-1')).rejects.toThrow(/neither let in nor kept/);
  });

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
      // A link stays one.
      const link = join(folder, 'link.conf');
      await shell('ln', ['-s', path, link]);
      const linked = await go('config-rollout', { ...inputs, path: link, content: 'workers = 9\n' });
      expect(ended(linked)).toMatchObject({ state: 'failed', steps: { keep: 'command-failed' } });
      expect((await shell('readlink', [link])).stdout.trim()).toBe(path);
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

      // One limit for all paths, not one for each.
      const more = join(folder, 'more-logs');
      await shell('mkdir', ['-p', more]);
      for (const path of [logs, more]) await writeFile(join(path, 'large.log'), randomBytes(600 * 1024));
      const limited = { incident: 'INC-2', minutes: 5, units: ['none.service'], directory, maxMegabytes: 1 };
      expect(ended(await go('incident-logs', { ...limited, paths: [logs, more] }))).toMatchObject({
        state: 'succeeded',
      });
      const second = join(directory, 'INC-2-host-000.tar.gz');
      const { stdout: packed } = await shell('tar', ['-tzf', second]);
      expect(packed.split('\n').filter((name) => name.endsWith('/large.log'))).toEqual([`./files${logs}/large.log`]);
      const { stdout: leftOut } = await shell('tar', ['-xzOf', second, './left-out.txt']);
      expect(leftOut).toContain(`too large: ${more}/large.log`);

      // Through a link, or into a stranger's folder, nothing is written.
      const elsewhere = join(folder, 'elsewhere');
      const [link, strangers] = [join(folder, 'link'), join(folder, 'strangers')];
      await shell('mkdir', ['-p', elsewhere, strangers]);
      await shell('ln', ['-s', elsewhere, link]);
      await shell('chown', ['nobody', strangers]);
      for (const refused of [link, strangers]) {
        const no = await go('incident-logs', { incident: 'INC-3', minutes: 5, paths: [logs], directory: refused });
        expect(ended(no)).toMatchObject({ state: 'failed', steps: { collect: 'command-failed' } });
        expect((await shell('ls', ['-A', `${refused}/`])).stdout).toBe('');
      }
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
        // What the leaver has put where root works: a link to somebody else's keys, and a name that can be foreseen.
        const precious = join(folder, 'precious');
        await shell('mkdir', ['-p', precious]);
        await writeFile(join(precious, 'authorized_keys'), 'ssh-ed25519 AAAA root\n');
        const { stdout: home } = await shell('sh', ['-c', 'getent passwd "$1" | cut -d: -f6', 'home', login]);
        const dotSsh = join(home.trim(), '.ssh');
        await shell('mv', [dotSsh, `${dotSsh}.before`]);
        await shell('ln', ['-s', precious, dotSsh]);
        expect(ended(await go('user-offboard', { login }))).toMatchObject({ state: 'succeeded' });
        expect((await shell('ls', ['-A', precious])).stdout.trim()).toBe('authorized_keys');
        expect((await shell('readlink', [`${dotSsh}.offboarded`])).stdout.trim()).toBe(precious);
        await shell('mv', [`${dotSsh}.before`, dotSsh]);
        await shell('usermod', ['--unlock', '--expiredate', '', login]).catch(() => undefined);
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
});
