import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Plan } from '@fettle/contracts';
import { saveCapacityLimit, takeCapacity } from '@fettle/database';
import { CliStack } from '../cli/cli-stack.js';

const HOSTS = 3;

describe('what would hold a planned run up', () => {
  let cli: CliStack;

  beforeAll(async () => {
    cli = await CliStack.start(HOSTS);
    const targets = 'asset.kind == "server"';
    const change = (seconds: string) => ({ id: 'work', uses: 'ssh.run', with: { argv: ['sleep', seconds] } });
    await cli.stack.addRunbook('slow', { targets, steps: [change('20')] });
    await cli.stack.addRunbook('share', { targets, assetLock: 'shared', steps: [change('0')] });
    await cli.stack.addRunbook('look', {
      targets,
      steps: [{ id: 'work', uses: 'ssh.run', with: { argv: ['true'], effect: 'read-only' } }],
    });
    await cli.stack.addRunbook('patch', {
      targets,
      capacity: ['site:ber'],
      steps: [{ ...change('0'), capacity: ['db:billing', { key: 'site:ber', units: 2 }] }],
    });
    const text = { type: 'string' };
    await cli.stack.addRunbook('move', {
      targets,
      inputs: { type: 'object', properties: { database: text, sites: { type: 'array', items: text } } },
      capacity: ['db:${{ inputs.database }}'],
      steps: [
        { id: 'look', uses: 'ssh.run', with: { argv: ['true'], effect: 'read-only' } },
        {
          id: 'each',
          forEach: {
            items: 'inputs.sites',
            as: 'site',
            steps: [{ id: 'pause', wait: { duration: '1s' }, capacity: ['site:${{ item.site }}'] }],
          },
        },
        { id: 'last', wait: { duration: '1s' }, capacity: ['run:${{ run.id }}'] },
      ],
    });
    await cli.stack.dataSource.transaction((transaction) =>
      saveCapacityLimit(transaction, { space: 'default', key: 'db:billing', units: 2, document: 'billing' }),
    );
  }, 180_000);
  afterAll(() => cli?.stop(), 60_000);

  const plan = (...words: string[]): Promise<Plan> => cli.json<Plan>('plan', ...words);

  async function take(units: number): Promise<string> {
    const { id } = await cli.stack.start('look');
    await cli.stack.dataSource.transaction((transaction) =>
      takeCapacity(transaction, { runId: id, path: 'work', wants: [{ key: 'db:billing', units }], priority: 0 }),
    );
    return id;
  }

  it('says of each key its limit, who holds it and who waits, and what would never fit', async () => {
    const before = await plan('patch');
    expect(before.capacity.keys).toEqual([
      {
        key: 'db:billing',
        limit: 2,
        document: 'billing',
        units: 1,
        used: 0,
        waiting: 0,
        neverFits: false,
        holders: [],
      },
      // Of a key that no document names there is one; the run itself takes one of it, and its step two more.
      { key: 'site:ber', limit: 1, document: null, units: 3, used: 0, waiting: 0, neverFits: true, holders: [] },
    ]);
    expect(before.capacity.conflicts).toEqual([
      { key: 'site:ber', message: 'would never fit: the run wants 3, and the limit is 1' },
    ]);
    const holder = await take(2);
    await take(1);
    const after = await plan('patch');
    expect(after.capacity.keys?.[0]).toMatchObject({ used: 2, waiting: 1, holders: [{ runId: holder, units: 2 }] });
    expect(after.capacity.conflicts[0]).toEqual({
      key: 'db:billing',
      message: `2 of 2 held by look (${holder}), 1 waiting; the run wants 1`,
    });
    // What is true at this moment is no part of what is planned.
    expect(after.digest).toBe(before.digest);
    const stored: { body: Plan }[] = await cli.stack.dataSource.query(`SELECT body FROM plan WHERE digest = $1`, [
      after.digest,
    ]);
    expect(stored[0]?.body.capacity).toEqual({ wants: after.capacity.wants, conflicts: [] });
    expect((await cli.fettle(['plan', 'patch'])).stdout).toMatch(/waits for db:billing +2 of 2 held by look/);
  });

  it('looks for holders of the keys that inputs and items come to, and for none of those that are known later', async () => {
    const words = ['move', '--input', 'database=reports', '--input', 'sites=["muc","ham"]'];
    const { id: holder } = await cli.stack.start('look');
    await cli.stack.dataSource.transaction((transaction) =>
      takeCapacity(transaction, {
        runId: holder,
        path: 'work',
        wants: ['db:reports', 'site:muc'].map((key) => ({ key, units: 1 })),
        priority: 0,
      }),
    );
    const { capacity } = await plan(...words);
    expect(capacity.keys).toMatchObject([
      { key: 'db:reports', used: 1, holders: [{ runId: holder }] },
      { key: 'site:ham', used: 0, holders: [] },
      { key: 'site:muc', used: 1, holders: [{ runId: holder }] },
    ]);
    const message = `1 of 1 held by look (${holder}); the run wants 1`;
    expect(capacity.conflicts).toEqual(['db:reports', 'site:muc'].map((key) => ({ key, message })));
    const { stdout } = await cli.fettle(['plan', ...words]);
    expect(stdout).toMatch(/^capacity +db:reports, site:muc, site:ham, \(known after the start\)$/m);
    expect(stdout).toMatch(/waits for db:reports +1 of 1 held by look/);
  });

  it('names the runs that change its targets, to those who would change them', async () => {
    const { id } = await cli.stack.start('slow');
    for (let tries = 0; tries < 300 && (await plan('slow')).capacity.assets?.count !== HOSTS; tries += 1)
      await sleep(100);
    const changing = await plan('slow');
    expect(changing.capacity.assets?.held).toMatchObject(
      ['host-000', 'host-001', 'host-002'].map((asset) => ({ asset, runId: id, runbook: 'slow', waiting: 0 })),
    );
    expect((await plan('share')).capacity.assets?.count).toBe(HOSTS);
    expect((await plan('look')).capacity.assets).toEqual({ count: 0, held: [] });
    const text = (await cli.fettle(['plan', 'slow'])).stdout;
    expect(text).toContain(`waits for asset:host-001`);
    expect(text).toContain(`changed by slow (${id}) since `);
    expect((await cli.fettle(['run', 'cancel', id])).exitCode).toBe(0);
    await cli.stack.ended(id);
    expect((await plan('slow')).capacity.assets).toEqual({ count: 0, held: [] });
  }, 60_000);
});
