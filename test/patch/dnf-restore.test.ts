import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunDetail } from '@fettle/contracts';
import { DnfHost } from '../support/dnf-host.js';

const PATIENCE_MS = 300_000;
const RPMDB_LOCK = '/var/lib/dnf/rpmdb_lock.pid';

const ended = (run: RunDetail) => [run.state, run.targets[0]?.error ?? null];

describe('patch.restore, host.reboot and a killed worker on a host with dnf', () => {
  let host: DnfHost;

  beforeAll(async () => {
    host = await DnfHost.begin(['cfg', 'fine', 'young'].map((name) => ({ name, version: '1.0' })));
  }, 600_000);
  afterAll(() => host?.close(), 60_000);

  async function until(isSo: () => Promise<boolean>): Promise<void> {
    while (!(await isSo())) await sleep(100);
  }

  const isThere = (file: string) => async () => (await host.root.inside('find', '/tmp', '-name', file)) !== '';

  it(
    'goes on when its worker is killed half-way, and does nothing twice',
    async () => {
      await host.repository.add('updates', {
        name: 'fine',
        version: '7.0',
        post: 'echo once >> /tmp/fine; until [ -e /tmp/go ]; do sleep 1; done',
      });
      const { id } = await host.beginInstall({ updates: 'all', approved: ['fine'] });
      await until(isThere('fine'));
      await host.worker?.stop('SIGKILL');
      host.worker = await host.stack.startWorker();
      await host.root.write('tmp/go', '');
      const run = await host.stack.ended(id, PATIENCE_MS);
      expect(ended(run)).toEqual(['succeeded', null]);
      expect(await host.results(run)).toEqual({ fine: '7.0-1 installed' });
      expect(await host.root.inside('cat', '/tmp/fine')).toBe('once\n');
      await host.root.inside('rm', '/tmp/go', '/tmp/fine');
    },
    PATIENCE_MS,
  );

  it(
    'puts back what was there before as the rollback of an installation, and only if the sources have it',
    async () => {
      await host.repository.add('updates', { name: 'young', version: '8.0' });
      const before = await host.version('young');
      const go = async (approved: string): Promise<RunDetail> => {
        const name = `restore-${approved}`;
        const install = {
          id: 'install',
          uses: 'patch.install',
          with: { updates: 'all', approved: [approved] },
          rollback: { uses: 'patch.restore', with: {} },
        };
        const check = { id: 'check', uses: 'ssh.run', with: { argv: ['false'], effect: 'read-only' } };
        await host.stack.addRunbook(name, { targets: 'true', steps: [install, check] });
        return host.stack.ended((await host.stack.start(name)).id, PATIENCE_MS);
      };
      const run = await go('young');
      expect([run.state, run.targets[0]?.rollback]).toEqual(['failed', 'undone']);
      expect(await host.version('young')).toBe(before);
      await host.repository.add('updates', { name: 'cfg', version: '3.1' });
      await host.root.inside('rm', host.repository.file('base', { name: 'cfg', version: '1.0' }));
      await host.repository.add('base', { name: 'another', version: '1.0' });
      const stays = await go('cfg');
      expect([stays.state, stays.targets[0]?.rollback]).toEqual(['failed', 'incomplete']);
      expect(await host.version('cfg')).toBe('3.1-1');
    },
    PATIENCE_MS,
  );

  it(
    'reboots nothing that does not ask for it, and not while another dnf is at work',
    async () => {
      await host.root.write('usr/sbin/shutdown', '#!/bin/sh\necho "$@" >> /var/log/reboots\n', 0o755);
      const idle = await host.step('host.reboot', {});
      expect(ended(idle)).toEqual(['succeeded', null]);
      expect(await host.output(idle)).toMatchObject({ rebooted: false });
      const held = await host.lock(RPMDB_LOCK);
      const busy = await host.step('host.reboot', { when: 'always', lockWait: '1ms' });
      expect(busy.targets[0]?.error).toMatchObject({
        code: 'package-manager-busy',
        message: expect.stringMatching(/^host-000: "sh \(process \d+\)" is changing packages/),
      });
      await held.release();
      await host.root.inside('rm', '-f', RPMDB_LOCK);
      await host.root.inside('sh', '-c', 'touch /var/log/reboots; test ! -s /var/log/reboots');
    },
    PATIENCE_MS,
  );
});
