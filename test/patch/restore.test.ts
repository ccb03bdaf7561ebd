import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunDetail } from '@fettle/contracts';
import { PatchHost } from '../support/patch-host.js';

const PATIENCE_MS = 300_000;

describe('patch.restore, as the rollback of a patch.install', () => {
  let host: PatchHost;
  let runs = 0;

  beforeAll(async () => {
    host = await PatchHost.start(['app', 'lib', 'other'].map((name) => ({ name, version: '1.0' })));
  }, 600_000);
  afterAll(() => host?.close(), 60_000);

  /** Installs, and then comes to a step that fails, or does not. */
  async function go(argv: readonly string[], approved: readonly string[]): Promise<RunDetail> {
    const name = `restore-${(runs += 1)}`;
    const install = {
      id: 'install',
      uses: 'patch.install',
      with: { updates: 'all', approved },
      rollback: { uses: 'patch.restore', with: {} },
    };
    const steps = [install, { id: 'check', uses: 'ssh.run', with: { argv, effect: 'read-only' } }];
    await host.stack.addRunbook(name, { targets: 'true', steps });
    return host.stack.ended((await host.stack.start(name)).id, PATIENCE_MS);
  }

  it(
    'puts back what was there before, where a later step fails',
    async () => {
      await host.repository.add(
        'main',
        { name: 'app', version: '2.0', depends: 'lib (>= 2)' },
        { name: 'lib', version: '2.0' },
      );
      const run = await go(['false'], ['app', 'lib']);
      expect([run.state, run.targets[0]?.rollback]).toEqual(['failed', 'undone']);
      expect([await host.root.version('app'), await host.root.version('lib')]).toEqual(['1.0', '1.0']);
      const good = await go(['true'], ['app', 'lib']);
      expect(good.state).toBe('succeeded');
      expect([await host.root.version('app'), await host.root.version('lib')]).toEqual(['2.0', '2.0']);
    },
    PATIENCE_MS,
  );

  it(
    'changes nothing and says so, where the former version is on offer no more',
    async () => {
      await host.repository.add('main', { name: 'other', version: '2.0' });
      await host.root.inside('rm', host.repository.file('main', { name: 'other', version: '1.0' }));
      await host.repository.add('main', { name: 'lib', version: '2.1' });
      const run = await go(['false'], ['other', 'lib']);
      expect([run.state, run.targets[0]?.rollback]).toEqual(['failed', 'incomplete']);
      const [{ error }] = await host.stack.dataSource.query<[{ error: { code: string; message: string } }]>(
        `SELECT error FROM run_step WHERE run_id = $1 AND phase = 'undo' AND error IS NOT NULL LIMIT 1`,
        [run.id],
      );
      expect(error).toMatchObject({
        code: 'former-version-missing',
        message: expect.stringMatching(/^host-000: .*other 1\.0/),
      });
      expect([await host.root.version('other'), await host.root.version('lib')]).toEqual(['2.0', '2.1']);
    },
    PATIENCE_MS,
  );
});
