import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { CHECKOUT } from '../../apps/cli/dist/up/data-dir.js';
import { UpHarness } from './up-harness.js';

let harness: UpHarness;
beforeEach(() => {
  harness = new UpHarness({ folderMode: 0o711 });
});
afterEach(async () => {
  await harness.close();
});

function fettle(...args: string[]) {
  const { DATABASE_URL: _database, TEMPORAL_ADDRESS: _temporal, ...env } = process.env;
  const program = join(CHECKOUT, 'apps/cli/bin/fettle.mjs');
  return spawnSync(process.execPath, [program, ...args, '--data-dir', harness.dataDir], { env, encoding: 'utf8' });
}

describe('the main job, from nothing', () => {
  it('runs across the demo estate as foretold, and a later start shows that run', () => {
    const once = fettle('up', '--port', '0', '--once');
    expect([once.status, once.stderr]).toEqual([0, expect.stringContaining('hosts done: 22 succeeded')]);
    for (const state of ['failed', 'unreachable', 'quarantined']) {
      expect(once.stdout.split('\n').filter((line) => line.split(/\s+/)[1] === state)).toHaveLength(1);
    }
    const id = /Run (\S+) ended as the demo says it should/.exec(once.stdout)?.[1];
    expect(id).toBeDefined();

    const detached = fettle('up', '--port', '0', '--detach');
    expect([detached.status, detached.stdout]).toEqual([0, expect.stringContaining('sign-in token  fettle_')]);
    const runs = fettle('run', 'list', '-o', 'json');
    expect((JSON.parse(runs.stdout) as { id: string; state: string }[]).map((run) => run.id)).toEqual([id]);
    expect(fettle('down').status).toBe(0);
  }, 300_000);
});
