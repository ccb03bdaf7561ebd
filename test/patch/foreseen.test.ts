import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PatchHost } from '../support/patch-host.js';

const PATIENCE_MS = 300_000;

describe('patch.install on a host whose lists change after the choice', () => {
  let host: PatchHost;

  beforeAll(async () => {
    host = await PatchHost.start(['late', 'never'].map((name) => ({ name, version: '1.0' })));
  }, 600_000);
  afterAll(() => host?.close(), 60_000);

  it(
    'installs nothing where something would come along that is to be kept out and was not foreseen',
    async () => {
      await host.repository.add('main', { name: 'late', version: '2.0' }, { name: 'never', version: '2.0' });
      const dpkg = await host.root.lock('/var/lib/dpkg/lock-frontend');
      const input = { updates: 'all', approved: ['late'], rejected: ['never'] };
      await host.stack.addRunbook('begun', {
        targets: 'true',
        steps: [{ id: 'step', uses: 'patch.install', with: input }],
      });
      const { id } = await host.stack.start('begun');
      while ((await host.root.inside('pgrep', '-c', '-f', '^apt-get install').catch(() => '0')) === '0')
        await sleep(100);
      // While apt waits for the lock, somebody else reads the lists anew.
      await host.repository.add('main', { name: 'late', version: '2.0', depends: 'never (>= 2)' });
      await host.root.inside('apt-get', '-q', 'update');
      await dpkg.release();
      const run = await host.stack.ended(id, PATIENCE_MS);
      expect(run.targets[0]?.error).toMatchObject({
        code: 'unforeseen-packages',
        message: expect.stringMatching(
          /^host-000: "apt-get install" was called off and installed nothing: never 2\.0 would have come along/,
        ),
      });
      expect([await host.root.version('late'), await host.root.version('never')]).toEqual(['1.0', '1.0']);
      expect(await host.root.inside('find', '/run', '-name', 'fettle-foreseen*')).toBe('');
    },
    PATIENCE_MS,
  );

  it(
    'chooses anew the next time, and installs what is as it was foreseen',
    async () => {
      const input = { updates: 'all', approved: ['late'], rejected: ['never'] };
      const again = await host.step('patch.install', input);
      expect(again.state).toBe('succeeded');
      const { skipped } = (await host.output(again)) as { skipped: { name: string; reason: string }[] };
      expect(skipped.find(({ name }) => name === 'late')).toMatchObject({ reason: 'needs-other' });
      await host.repository.add(
        'main',
        { name: 'late', version: '3.0', depends: 'fresh' },
        { name: 'fresh', version: '1.0' },
      );
      const run = await host.step('patch.install', input);
      expect([run.state, run.targets[0]?.error ?? null]).toEqual(['succeeded', null]);
      expect([await host.root.version('late'), await host.root.version('fresh')]).toEqual(['3.0', '1.0']);
    },
    PATIENCE_MS,
  );
});
