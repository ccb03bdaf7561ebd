import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PatchHost } from '../support/patch-host.js';
import { readyMade } from '../support/ready-made.js';
import { ended } from '../support/ready-made-hosts.js';

const PATIENCE_MS = 300_000;

describe('patching by ready-made runbook', () => {
  let host: PatchHost;

  beforeAll(async () => {
    host = await PatchHost.start(['app', 'other'].map((name) => ({ name, version: '1.0' })));
    for (const hook of ['leave', 'join', 'snapshot', 'return', 'health'])
      await host.root.write(
        `opt/${hook}`,
        `#!/bin/sh\necho ${hook} "$@" >> /var/log/hooks\n[ ! -e /tmp/no-${hook} ]\n`,
        0o755,
      );
    await host.root.write('usr/sbin/shutdown', '#!/bin/sh\necho shutdown >> /var/log/hooks\n', 0o755);
    await host.root.write('var/log/hooks', '');
    await host.root.inside('chmod', '0666', '/var/log/hooks');
    // A kernel that is as new as can be, whatever this machine's own is: asked for by the file alone.
    await host.root.write('usr/sbin/needrestart', '#!/bin/sh\necho "NEEDRESTART-KSTA: 1"\n', 0o755);
    await host.stack.addRunbook('patch-fleet', { ...readyMade('patch-fleet').written, targets: 'true' });
  }, 600_000);
  afterAll(() => host?.close(), 60_000);

  const hooks = async (): Promise<string[]> => {
    const text = await host.root.inside('cat', '/var/log/hooks');
    await host.root.write('var/log/hooks', '', 0o666);
    return text.split('\n').filter(Boolean);
  };
  const inputs = {
    updates: 'all',
    approve: false,
    drain: ['/opt/leave'],
    undrain: ['/opt/join', 'now'],
    snapshot: ['/opt/snapshot'],
    restore: ['/opt/return'],
    health: ['/opt/health', 'well?'],
  };

  it(
    'patch-fleet: drains, keeps, patches, reboots, looks and takes back',
    async () => {
      await host.repository.add('main', { name: 'app', version: '2.0', postinst: 'touch /run/reboot-required' });
      const { id } = await host.stack.start('patch-fleet', { inputs });
      for (;;) {
        if ((await host.root.inside('cat', '/var/log/hooks')).includes('shutdown')) break;
        if ((await host.stack.run(id)).endedAt !== null) break;
        await sleep(100);
      }
      await host.root.halt();
      await host.root.boot();
      const run = await host.stack.ended(id, PATIENCE_MS);
      expect(ended(run)).toMatchObject({
        state: 'succeeded',
        steps: {
          drain: 'succeeded',
          snapshot: 'succeeded',
          install: 'succeeded',
          reboot: 'succeeded',
          undrain: 'succeeded',
        },
      });
      expect(await hooks()).toEqual(['leave', 'snapshot', 'shutdown', 'health well?', 'join now']);
      expect(await host.root.version('app')).toBe('2.0');
      const again = await host.stack.ended((await host.stack.start('patch-fleet', { inputs })).id, PATIENCE_MS);
      expect(ended(again)).toMatchObject({ state: 'succeeded', steps: { install: 'skipped', drain: 'skipped' } });
      expect(await hooks()).toEqual(['health well?']);
    },
    PATIENCE_MS,
  );

  it(
    'patch-fleet: a host whose update fails goes back to what was kept, and into service only if it is well',
    async () => {
      await host.repository.add('main', { name: 'other', version: '2.0', postinst: 'exit 1' });
      const run = await host.stack.ended((await host.stack.start('patch-fleet', { inputs })).id, PATIENCE_MS);
      expect(ended(run)).toMatchObject({ state: 'failed', steps: { install: 'patch-failed' } });
      expect(await hooks()).toEqual(['leave', 'snapshot', 'return', 'health well?', 'join now']);
      await host.repository.add('main', { name: 'other', version: '2.1' });
      const mended = await host.stack.ended((await host.stack.start('patch-fleet', { inputs })).id, PATIENCE_MS);
      expect(ended(mended)).toMatchObject({ state: 'succeeded', steps: { install: 'succeeded' } });
      expect(await hooks()).toEqual(['leave', 'snapshot', 'health well?', 'join now']);
    },
    PATIENCE_MS,
  );
});
