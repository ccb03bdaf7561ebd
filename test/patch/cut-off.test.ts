import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PatchHost } from '../support/patch-host.js';

const PATIENCE_MS = 300_000;

describe('patch.install on a host whose packages were cut off', () => {
  let host: PatchHost;

  beforeAll(async () => {
    host = await PatchHost.start(['never', 'other'].map((name) => ({ name, version: '1.0' })));
  }, 600_000);
  afterAll(() => host?.close(), 60_000);

  it(
    'only repairs, and says so, where a host that was cut off does not tell what an update would bring along',
    async () => {
      const parted = { name: 'parted', version: '1.0', depends: 'never (>= 9)' };
      await host.repository.add('main', parted, { name: 'other', version: '6.5' });
      await host.root.inside('dpkg', '--unpack', host.repository.file('main', parted));
      const before = await host.root.version('other');
      const input = { updates: 'all', approved: ['other'], rejected: ['never'] };
      const run = await host.step('patch.install', input);
      expect(run.targets[0]).toMatchObject({
        state: 'failed',
        error: { code: 'repaired-only', message: expect.stringMatching(/^host-000: .*1 updates were not installed/) },
      });
      expect([await host.root.version('other'), await host.root.version('never')]).toEqual([before, '1.0']);
      await host.root.inside('dpkg', '--purge', '--force-all', 'parted');
      const next = await host.step('patch.install', input);
      expect(next.state).toBe('succeeded');
      expect(await host.root.version('other')).toBe('6.5');
    },
    PATIENCE_MS,
  );
});
