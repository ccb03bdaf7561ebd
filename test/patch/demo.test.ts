import { mkdtemp, rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DemoEstate, demoInventory } from '../../apps/cli/dist/demo/estate.js';
import { readyMade } from '../support/ready-made.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

const PATIENCE_MS = 180_000;

describe('patching in the demo estate', () => {
  let dataDir: string;
  let estate: DemoEstate;
  let stack: TestStack;
  let worker: WorkerProcess;

  beforeAll(async () => {
    dataDir = await mkdtemp('/tmp/fettle-demo-');
    [stack, estate] = await Promise.all([TestStack.create(), DemoEstate.start({ dataDir })]);
    const { rows, clientPrivateKey: privateKey } = await demoInventory(dataDir);
    for (const { name, address, port, user, hostKey } of rows.filter((row) => /^(web-01|app-01)\.ber/.test(row.name))) {
      const account = { user, privateKey };
      await stack.addHosts(
        { account, port, address: () => address, hostKeys: () => Promise.resolve([hostKey]) },
        ...([1, { prefix: name.slice(0, 3) }] as const),
      );
    }
    for (const name of ['patch-scan', 'patch-fleet']) await stack.addRunbook(name, { ...readyMade(name).written });
    worker = await stack.startWorker();
  }, 180_000);
  afterAll(async () => {
    await worker?.stop();
    await estate?.stop();
    await stack?.close();
    await rm(dataDir, { recursive: true, force: true });
  });

  /** Of both hosts: how many updates their last scan found, and what it says of a reboot. */
  async function scanned(): Promise<{ name: string; updates: number; reboot: string }[]> {
    const run = await stack.ended((await stack.start('patch-scan')).id, PATIENCE_MS);
    expect(run).toMatchObject({ state: 'succeeded', counts: { succeeded: 2 }, summary: '2 looked at, 0 not' });
    return stack.dataSource.query(
      `SELECT a.name, jsonb_array_length(s.offers) AS updates, s.reboot
       FROM patch_scan s JOIN asset a ON a.id = s.asset_id ORDER BY 1`,
    );
  }

  it('finds what is missing, installs it in waves, reboots what asks for it, and finds nothing then', async () => {
    for (const { updates, reboot } of await scanned()) {
      expect(updates).toBeGreaterThan(2);
      expect(reboot).toBe('not-needed');
    }
    const inputs = { updates: 'all', approve: false };
    const run = await stack.ended((await stack.start('patch-fleet', { inputs })).id, PATIENCE_MS);
    expect(run.targets.map(({ error, state }) => [state, error])).toEqual([
      ['succeeded', null],
      ['succeeded', null],
    ]);
    // The C library of the second is older than what is on offer.
    expect(run.targets.map(({ steps }) => steps.find(({ step }) => step === 'reboot')?.state)).toEqual([
      'skipped',
      'succeeded',
    ]);
    expect(await scanned()).toEqual([
      { name: 'app-000', updates: 0, reboot: 'not-needed' },
      { name: 'web-000', updates: 0, reboot: 'not-needed' },
    ]);
  }, 600_000);
});
