import { setTimeout as sleep } from 'node:timers/promises';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunDetail } from '@fettle/contracts';
import { cancelRun } from '@fettle/operations';
import { PatchHost } from '../support/patch-host.js';

const PATIENCE_MS = 300_000;
const NAMES = ['app', 'bad', 'cfg', 'fine', 'held', 'needy', 'never', 'other', 'pulled', 'young'];

const ended = (run: RunDetail) => [run.state, run.targets[0]?.error ?? null];

describe('patch.install', () => {
  let host: PatchHost;

  beforeAll(async () => {
    const first = NAMES.map((name) => ({ name, version: '1.0' }));
    host = await PatchHost.start(first.map((one) => (one.name === 'cfg' ? { ...one, conffile: 'from 1.0\n' } : one)));
    await host.root.inside('apt-mark', 'hold', 'held');
    await host.root.inside('apt-mark', 'auto', 'fine');
  }, 600_000);
  afterAll(() => host?.close(), 60_000);

  /** Result of each package, as the ledger has it of the last installation. */
  async function results(run: RunDetail): Promise<Record<string, string>> {
    const rows: { results: { name: string; to: string; state: string }[] }[] = await host.stack.dataSource.query(
      `SELECT results FROM patch_install WHERE run_id = $1 ORDER BY started_at DESC LIMIT 1`,
      [run.id],
    );
    return Object.fromEntries((rows[0]?.results ?? []).map(({ name, to, state }) => [name, `${to} ${state}`]));
  }
  let begun = 0;
  /** Starts a step and does not wait for it. */
  async function begin(input: Record<string, unknown>): Promise<{ id: string }> {
    const name = `begun-${(begun += 1)}`;
    await host.stack.addRunbook(name, {
      targets: 'true',
      steps: [{ id: 'step', uses: 'patch.install', with: input }],
    });
    return host.stack.start(name);
  }
  async function until(isSo: () => Promise<boolean>): Promise<void> {
    while (!(await isSo())) await sleep(100);
  }
  const isThere = (file: string) => async () => (await host.root.inside('find', '/tmp', '-name', file)) !== '';
  const skipped = async (run: RunDetail): Promise<Record<string, string>> => {
    const { skipped: list } = (await host.output(run)) as { skipped: { name: string; reason: string }[] };
    return Object.fromEntries(list.map(({ name, reason }) => [name, reason]));
  };

  it(
    'installs security updates only, and the second time nothing',
    async () => {
      await host.repository.add('main', { name: 'app', version: '1.2' }, { name: 'held', version: '2.0' });
      await host.repository.add('security', { name: 'app', version: '1.1' });
      const run = await host.step('patch.install', {});
      expect(ended(run)).toEqual(['succeeded', null]);
      expect(await host.output(run)).toMatchObject({
        manager: 'apt',
        changed: true,
        installed: [{ name: 'app', architecture: 'all', from: '1.0', to: '1.1' }],
        repaired: false,
      });
      expect(await skipped(run)).toEqual({ held: 'not-security' });
      expect(await host.root.version('app')).toBe('1.1');
      const again = await host.step('patch.install', {});
      expect(ended(again)).toEqual(['succeeded', null]);
      expect(await host.output(again)).toMatchObject({ changed: false, installed: [] });
    },
    PATIENCE_MS,
  );

  it(
    'goes by patterns, of which the rejected win, leaves held packages alone and what would need a rejected one',
    async () => {
      await host.repository.add(
        'main',
        { name: 'never', version: '2.0' },
        { name: 'needy', version: '2.0', depends: 'never (>= 2)' },
        { name: 'fine', version: '2.0' },
        { name: 'other', version: '2.0' },
      );
      const input = { updates: 'all', approved: ['ne*', 'f?ne', 'held'], rejected: ['never'] };
      const run = await host.step('patch.install', input);
      expect(ended(run)).toEqual(['succeeded', null]);
      expect(await results(run)).toEqual({ fine: '2.0 installed' });
      expect(await skipped(run)).toEqual({
        app: 'not-approved',
        held: 'held',
        needy: 'needs-other',
        never: 'rejected',
        other: 'not-approved',
      });
      expect(await host.root.version('needy')).toBe('1.0');
      // It was there for others only, and still is.
      expect(await host.root.inside('apt-mark', 'showauto', 'fine')).toBe('fine\n');
    },
    PATIENCE_MS,
  );

  it(
    'never asks, and keeps a configuration file that was changed',
    async () => {
      await host.root.write('etc/cfg.conf', 'changed here\n');
      await host.repository.add('main', { name: 'cfg', version: '2.0', conffile: 'from 2.0\n' });
      const run = await host.step('patch.install', { updates: 'all', approved: ['cfg'] });
      expect(ended(run)).toEqual(['succeeded', null]);
      expect(await host.root.version('cfg')).toBe('2.0');
      expect(await readFile(host.root.path('etc/cfg.conf'), 'utf8')).toBe('changed here\n');
      expect(await readFile(host.root.path('etc/cfg.conf.dpkg-dist'), 'utf8')).toBe('from 2.0\n');
    },
    PATIENCE_MS,
  );

  it(
    'leaves versions alone until they were on offer for long enough',
    async () => {
      await host.repository.add('main', { name: 'young', version: '2.0' });
      const input = { updates: 'all', approved: ['young'], delayDays: 2 };
      const early = await host.step('patch.install', input);
      expect((await skipped(early))['young']).toBe('too-new');
      await host.repository.add('main', { name: 'young', version: '3.0' });
      await host.stack.dataSource.query(
        `UPDATE patch_version SET first_seen_at = now() - interval '49 hours' WHERE name = 'young' AND version = '2.0'`,
      );
      const late = await host.step('patch.install', input);
      expect(await results(late)).toEqual({ young: '2.0 installed' });
    },
    PATIENCE_MS,
  );

  it(
    'installs exact versions, and refuses one that nobody offers before it does anything',
    async () => {
      await host.repository.add('main', { name: 'pulled', version: '2.0' }, { name: 'pulled', version: '3.0' });
      const versions = [
        { name: 'pulled', version: '2.0' },
        { name: 'not-there', version: '1.0' },
        { name: 'app', version: '0.9' },
      ];
      const run = await host.step('patch.install', { updates: 'exact', versions });
      expect(ended(run)).toEqual(['succeeded', null]);
      expect(await results(run)).toEqual({ pulled: '2.0 installed' });
      expect(await skipped(run)).toEqual({ 'not-there': 'not-installed', app: 'newer-installed' });
      const missing = [
        { name: 'other', version: '2.0' },
        { name: 'pulled', version: '9.9' },
      ];
      const refused = await host.step('patch.install', { updates: 'exact', versions: missing });
      expect(refused.targets[0]?.error).toMatchObject({
        code: 'version-not-offered',
        message: expect.stringMatching(/host-000.*pulled 9\.9/),
      });
      expect(await host.root.version('other')).toBe('1.0');
    },
    PATIENCE_MS,
  );

  it(
    'tells of each package where one cannot be configured, and the next installation repairs it',
    async () => {
      await host.repository.add(
        'main',
        { name: 'bad', version: '2.0', postinst: 'echo "no such port" >&2; exit 7' },
        { name: 'other', version: '3.0' },
      );
      const run = await host.step('patch.install', { updates: 'all', approved: ['bad', 'other'] });
      expect(run.state).toBe('failed');
      expect(run.targets[0]?.error).toMatchObject({
        code: 'patch-failed',
        message: expect.stringMatching(
          /^host-000: "apt-get install" ended with exit code 100, 1 of 2 updates failed: bad 1\.0 -> 2\.0: .*exit status 7/,
        ),
      });
      expect(await results(run)).toEqual({ bad: '2.0 failed', other: '3.0 installed' });
      await host.repository.add('main', { name: 'bad', version: '2.1' });
      const mended = await host.step('patch.install', { updates: 'all', approved: ['bad'] });
      expect(ended(mended)).toEqual(['succeeded', null]);
      expect(await host.output(mended)).toMatchObject({ repaired: true });
      expect(await host.root.version('bad')).toBe('2.1');
    },
    PATIENCE_MS,
  );

  it(
    'repairs what was cut off before, where nothing else is to be done, too',
    async () => {
      const dying = {
        name: 'app',
        version: '5.0',
        postinst: '[ -e /tmp/second ] || { touch /tmp/second; kill -9 $PPID; sleep 1; }',
      };
      await host.repository.add('main', dying);
      await expect(host.root.inside('dpkg', '--install', host.repository.file('main', dying))).rejects.toThrow();
      const scan = await host.step('patch.scan', {});
      expect(await host.output(scan)).toMatchObject({ isInterrupted: true });
      const run = await host.step('patch.install', { updates: 'all', approved: ['nothing-at-all'] });
      expect(ended(run)).toEqual(['succeeded', null]);
      expect(await host.output(run)).toMatchObject({ repaired: true, changed: true, installed: [] });
      expect(await host.root.version('app')).toBe('5.0');
    },
    PATIENCE_MS,
  );

  it(
    'waits for a lock, and says who has to be waited for where that takes too long',
    async () => {
      await host.repository.add('main', { name: 'other', version: '4.0' });
      const dpkg = await host.root.lock('/var/lib/dpkg/lock-frontend');
      const input = { updates: 'all', approved: ['other'] };
      const refused = await host.step('patch.install', { ...input, lockWait: '1s' });
      expect(refused.targets[0]?.error).toMatchObject({
        code: 'package-lock-held',
        message: expect.stringMatching(/^host-000: "apt-get install" ended with exit code 100: .*lock/),
      });
      expect(await results(refused)).toEqual({ other: '4.0 failed' });
      const { id } = await begin(input);
      await until(async () => (await host.root.inside('pgrep', '-c', '-x', 'apt-get').catch(() => '0')) !== '0');
      await dpkg.release();
      const run = await host.stack.ended(id, PATIENCE_MS);
      expect(ended(run)).toEqual(['succeeded', null]);
      expect(await results(run)).toEqual({ other: '4.0 installed' });
    },
    PATIENCE_MS,
  );

  it(
    'waits on the host for the lock of fetched packages, which apt itself does not',
    async () => {
      await host.repository.add('main', { name: 'other', version: '5.0' });
      const archives = await host.root.lock('/var/cache/apt/archives/lock');
      const { id } = await begin({ updates: 'all', approved: ['other'] });
      await until(async () => (await host.fenceOf(id)) > 1);
      await archives.release();
      const run = await host.stack.ended(id, PATIENCE_MS);
      expect(ended(run)).toEqual(['succeeded', null]);
      expect(await results(run)).toEqual({ other: '5.0 installed' });
    },
    PATIENCE_MS,
  );

  it(
    'says where a package cannot be fetched',
    async () => {
      const gone = { name: 'other', version: '6.0' };
      await host.repository.add('main', gone);
      await host.root.inside('rm', host.repository.file('main', gone));
      const run = await host.step('patch.install', { updates: 'all', approved: ['other'] });
      expect(run.targets[0]?.error).toMatchObject({
        code: 'mirror-unreachable',
        message: expect.stringMatching(/other_6\.0/),
      });
      await host.repository.add('main', gone);
    },
    PATIENCE_MS,
  );

  it(
    'goes on when its worker is killed half-way, and does nothing twice',
    async () => {
      await host.repository.add('main', {
        name: 'fine',
        version: '7.0',
        postinst: 'echo once >> /tmp/postinst; sleep 12',
      });
      const name = 'killed';
      const step = { id: 'step', uses: 'patch.install', with: { updates: 'all', approved: ['fine'] } };
      await host.stack.addRunbook(name, { targets: 'true', steps: [step] });
      const { id } = await host.stack.start(name);
      while ((await host.root.inside('find', '/tmp', '-name', 'postinst')) === '') await sleep(100);
      await host.worker?.stop('SIGKILL');
      host.worker = await host.stack.startWorker();
      const run = await host.stack.ended(id, PATIENCE_MS);
      expect(ended(run)).toEqual(['succeeded', null]);
      expect(await results(run)).toEqual({ fine: '7.0 installed' });
      expect(await host.root.inside('cat', '/tmp/postinst')).toBe('once\n');
    },
    PATIENCE_MS,
  );

  it(
    'stays with it while the host cannot be reached, and begins nothing beside it',
    async () => {
      await host.repository.add('main', {
        name: 'young',
        version: '8.0',
        postinst: 'echo once >> /tmp/young; while [ ! -e /tmp/go ]; do sleep 1; done',
      });
      const { id } = await begin({ updates: 'all', approved: ['young'] });
      await until(isThere('young'));
      const comeBack = await host.root.away();
      const before = await host.fenceOf(id);
      await until(async () => (await host.fenceOf(id)) >= before + 3);
      await comeBack();
      await host.root.write('tmp/go', '');
      const run = await host.stack.ended(id, PATIENCE_MS);
      expect(ended(run)).toEqual(['succeeded', null]);
      expect(await results(run)).toEqual({ young: '8.0 installed' });
      expect(await host.root.inside('cat', '/tmp/young')).toBe('once\n');
      await host.root.inside('rm', '/tmp/go', '/tmp/young');
    },
    PATIENCE_MS,
  );

  it(
    'is stopped on the host where the run is cancelled between two looks',
    async () => {
      await host.repository.add('main', {
        name: 'young',
        version: '9.0',
        postinst: 'touch /tmp/young; while [ ! -e /tmp/go ]; do sleep 1; done',
      });
      const { id } = await begin({ updates: 'all', approved: ['young'] });
      await until(isThere('young'));
      await until(async () => (await host.fenceOf(id)) > 1);
      await host.stack.inTransaction((context) => cancelRun(context, id, {}));
      const run = await host.stack.ended(id, PATIENCE_MS);
      expect([run.state, run.targets[0]?.state]).toEqual(['cancelled', 'cancelled']);
      const apt = await host.root.inside('pgrep', '-x', 'apt-get|dpkg').catch(() => 'none');
      expect(apt).toBe('none');
      // What was cut off is repaired by the next one.
      await host.root.write('tmp/go', '');
      const mended = await host.step('patch.install', { updates: 'all', approved: ['young'] });
      expect(ended(mended)).toEqual(['succeeded', null]);
      expect(await host.root.version('young')).toBe('9.0');
    },
    PATIENCE_MS,
  );

  it(
    'fails where the host refuses to install anything at all',
    async () => {
      const orphan = { name: 'orphan', version: '1.0', depends: 'nobody-has-this' };
      await host.repository.add('main', orphan, { name: 'other', version: '7.0' });
      await host.root.inside('dpkg', '--force-depends', '--install', host.repository.file('main', orphan));
      const input = { updates: 'all', approved: ['other'] };
      const scan = await host.output(await host.step('patch.scan', input));
      expect(scan).toMatchObject({ wanted: 1, refusal: expect.stringMatching(/^host-000: .*orphan : Depends/) });
      const run = await host.step('patch.install', input);
      expect(run.targets[0]).toMatchObject({
        state: 'failed',
        error: { code: 'package-manager-failed', message: expect.stringMatching(/^host-000: .*orphan : Depends/) },
      });
    },
    PATIENCE_MS,
  );
});
