import { setTimeout as sleep } from 'node:timers/promises';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunDetail } from '@fettle/contracts';
import { DnfHost } from '../support/dnf-host.js';

const PATIENCE_MS = 300_000;
const RPMDB_LOCK = '/var/lib/dnf/rpmdb_lock.pid';

const ended = (run: RunDetail) => [run.state, run.targets[0]?.error ?? null];

describe('patch.install on a host with dnf, where something is in the way', () => {
  let host: DnfHost;

  beforeAll(async () => {
    host = await DnfHost.begin(
      ['app', 'fine', 'half', 'late', 'never', 'torn', 'young'].map((name) => ({ name, version: '1.0' })),
    );
  }, 600_000);
  afterAll(() => host?.close(), 60_000);

  async function until(isSo: () => Promise<boolean>): Promise<void> {
    while (!(await isSo())) await sleep(100);
  }

  it(
    'waits for another dnf, and says who has to be waited for where that takes too long',
    async () => {
      await host.repository.add('updates', { name: 'fine', version: '4.0' });
      const input = { updates: 'all', approved: ['fine'] };
      const first = await host.lock(RPMDB_LOCK);
      const refused = await host.step('patch.install', { ...input, lockWait: '1s' });
      expect(refused.targets[0]?.error).toMatchObject({
        code: 'package-lock-held',
        message: expect.stringMatching(/^host-000: "dnf upgrade" ended with exit code 75: sh \(process \d+\) holds/),
      });
      expect(await host.results(refused)).toEqual({ fine: '4.0-1 failed' });
      const { id } = await host.beginInstall(input);
      await until(async () => (await host.fenceOf(id)) > 1);
      await first.release();
      expect(ended(await host.stack.ended(id, PATIENCE_MS))).toEqual(['succeeded', null]);
      expect(await host.version('fine')).toBe('4.0-1');
      await host.root.inside('rm', '-f', RPMDB_LOCK);
    },
    PATIENCE_MS,
  );

  it(
    'waits for rpm, and for another program that reads the lists',
    async () => {
      await host.repository.add('updates', { name: 'fine', version: '5.0' });
      const rpm = await host.root.lock('/var/lib/rpm/.rpm.lock');
      const { id } = await host.beginInstall({ updates: 'all', approved: ['fine'] });
      await until(async () => (await host.fenceOf(id)) > 1);
      await rpm.release();
      expect(ended(await host.stack.ended(id, PATIENCE_MS))).toEqual(['succeeded', null]);
      expect(await host.version('fine')).toBe('5.0-1');
      const lists = await host.lock('/var/cache/dnf/metadata_lock.pid');
      const refused = await host.step('patch.scan', { lockWait: '1ms' });
      expect(refused.targets[0]?.error).toMatchObject({ code: 'package-lock-held' });
      // It keeps dnf from reading what the host knows already, too.
      const unread = await host.step('patch.scan', { refresh: false, lockWait: '1ms' });
      expect(unread.targets[0]?.error).toMatchObject({
        code: 'package-lock-held',
        message: expect.stringMatching(/^host-000: "dnf [a-z]+ /),
      });
      const waiting = host.step('patch.scan', {});
      const [run] = await Promise.all([waiting, lists.release()]);
      expect(ended(run)).toEqual(['succeeded', null]);
      await host.root.inside('rm', '-f', '/var/cache/dnf/metadata_lock.pid');
    },
    PATIENCE_MS,
  );

  it(
    'repairs a transaction that was cut off with both versions there, where nothing else is to be done, too',
    async () => {
      const dying = { name: 'app', version: '5.0', post: 'echo ran >> /tmp/app; [ -e /tmp/go ] || kill -9 $PPID' };
      await host.repository.add('updates', dying);
      await expect(host.root.inside('dnf', '-y', '--refresh', 'upgrade', 'app')).rejects.toThrow();
      expect(await host.version('app')).toBe('1.0-1 5.0-1');
      const scan = await host.step('patch.scan', {});
      expect(await host.output(scan)).toMatchObject({ isInterrupted: true });
      await host.root.write('tmp/go', '');
      const run = await host.step('patch.install', { updates: 'all', approved: ['nothing-at-all'] });
      expect(ended(run)).toEqual(['succeeded', null]);
      expect(await host.output(run)).toMatchObject({ repaired: true, changed: true, installed: [] });
      expect(await host.version('app')).toBe('5.0-1');
      // Its script, which had been cut off, has run to its end.
      expect(await host.root.inside('cat', '/tmp/app')).toBe('ran\nran\n');
      await host.root.inside('rm', '/tmp/go', '/tmp/app');
    },
    PATIENCE_MS,
  );

  it(
    'repairs files that a transaction left half-replaced, though the database knows nothing of it',
    async () => {
      const dying = { name: 'torn', version: '2.0', pre: '[ -e /tmp/go ] || kill -9 $PPID' };
      await host.repository.add('updates', dying);
      await expect(host.root.inside('dnf', '-y', '--refresh', 'upgrade', 'torn')).rejects.toThrow();
      const whole = await host.step('patch.scan', { refresh: false });
      expect(await host.output(whole)).toMatchObject({ isInterrupted: false });
      // As if it had been cut off while the files were put in their places.
      await host.root.write('usr/share/torn/version', '2.0 in part');
      const torn = await host.step('patch.scan', { refresh: false });
      expect(await host.output(torn)).toMatchObject({ isInterrupted: true });
      // No source has its version: it stays as it is, and stays known, also once another transaction has come to its end.
      const former = host.repository.file('base', { name: 'torn', version: '1.0' });
      await host.root.inside('mv', former, '/tmp/former.rpm');
      await host.repository.add('updates', { name: 'fine', version: '6.0' });
      const half = await host.step('patch.install', { updates: 'all', approved: ['fine'] });
      expect(half.targets[0]?.error).toMatchObject({
        code: 'patch-incomplete',
        message: expect.stringMatching(/^host-000: a change of packages that was cut off is not repaired: .*exit code/),
      });
      expect(await host.version('fine')).toBe('6.0-1');
      await host.root.inside('mv', '/tmp/former.rpm', former);
      await host.root.inside('dnf', '-q', 'clean', 'packages');
      const run = await host.step('patch.install', { updates: 'all', approved: ['nothing-at-all'] });
      expect(ended(run)).toEqual(['succeeded', null]);
      expect(await host.output(run)).toMatchObject({ repaired: true });
      expect(await readFile(host.root.path('usr/share/torn/version'), 'utf8')).toBe('1.0\n');
      const mended = await host.step('patch.scan', { refresh: false });
      expect(await host.output(mended)).toMatchObject({ isInterrupted: false });
    },
    PATIENCE_MS,
  );

  it(
    'takes the update itself for the repair, where no source has the version that was cut off',
    async () => {
      const dying = { name: 'half', version: '2.0', pre: '[ -e /tmp/go ] || kill -9 $PPID' };
      await host.repository.add('updates', dying);
      await expect(host.root.inside('dnf', '-y', '--refresh', 'upgrade', 'half')).rejects.toThrow();
      await host.root.write('usr/share/half/version', '2.0 in part');
      await host.root.inside('rm', host.repository.file('base', { name: 'half', version: '1.0' }));
      await host.root.inside('dnf', '-q', 'clean', 'packages');
      await host.root.write('tmp/go', '');
      const run = await host.step('patch.install', { updates: 'all', approved: ['half'] });
      expect(ended(run)).toEqual(['succeeded', null]);
      expect(await host.output(run)).toMatchObject({ repaired: true, installed: [{ name: 'half', to: '2.0-1' }] });
      expect(await readFile(host.root.path('usr/share/half/version'), 'utf8')).toBe('2.0\n');
      await host.root.inside('rm', '/tmp/go');
    },
    PATIENCE_MS,
  );

  it(
    'installs nothing where something would come along that is to be kept out and was not foreseen',
    async () => {
      await host.repository.add('updates', { name: 'late', version: '2.0' }, { name: 'never', version: '2.0' });
      const rpm = await host.root.lock('/var/lib/rpm/.rpm.lock');
      const input = { updates: 'all', approved: ['late'], rejected: ['never'] };
      const { id } = await host.beginInstall(input);
      await until(async () => (await host.fenceOf(id)) > 1);
      await host.repository.add('updates', { name: 'late', version: '2.0', requires: 'never >= 2' });
      await host.root.inside('dnf', '-q', 'clean', 'all');
      await rpm.release();
      const run = await host.stack.ended(id, PATIENCE_MS);
      expect(run.targets[0]?.error).toMatchObject({
        code: 'unforeseen-packages',
        message: expect.stringMatching(/^host-000: .*: never 2\.0-1 would have come along/),
      });
      expect([await host.version('late'), await host.version('never')]).toEqual(['1.0-1', '1.0-1']);
      const again = await host.step('patch.install', input);
      expect(ended(again)).toEqual(['succeeded', null]);
      const { skipped } = (await host.output(again)) as { skipped: { name: string; reason: string }[] };
      expect(skipped.find(({ name }) => name === 'late')).toMatchObject({ reason: 'needs-other' });
    },
    PATIENCE_MS,
  );

  it(
    'says where a source, or a package of it, cannot be reached',
    async () => {
      const gone = { name: 'young', version: '6.0' };
      await host.repository.add('updates', gone);
      await host.root.inside('rm', host.repository.file('updates', gone));
      const run = await host.step('patch.install', { updates: 'all', approved: ['young'] });
      expect(run.targets[0]?.error).toMatchObject({
        code: 'mirror-unreachable',
        message: expect.stringMatching(/^host-000: "dnf upgrade" .*young-6\.0-1/),
      });
      await host.repository.add('updates', gone);
      await host.root.write(
        'etc/yum.repos.d/away.repo',
        '[away]\nname=away\nbaseurl=http://127.0.0.1:1/rpm\nskip_if_unavailable=1\ngpgcheck=0\n',
      );
      const away = await host.step('patch.scan', {});
      expect(away.targets[0]?.error).toMatchObject({ code: 'mirror-unreachable' });
      await host.root.inside('rm', '/etc/yum.repos.d/away.repo');
    },
    PATIENCE_MS,
  );
});
