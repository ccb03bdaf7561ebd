import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { actionContracts } from '@fettle/activities/contracts';
import type { RunDetail } from '@fettle/contracts';
import { uuidv7 } from 'uuidv7';
import { TestStack, type WorkerProcess } from '../support/stack.js';

describe('asset.count', () => {
  let stack: TestStack;
  let worker: WorkerProcess;

  beforeAll(async () => {
    stack = await TestStack.create();
    for (const [name, site, lifecycle] of [
      ['web1', 'ber', 'active'],
      ['web2', 'ams', 'active'],
      ['web3', 'ber', 'retired'],
    ])
      await stack.dataSource.query(
        `INSERT INTO asset (id, space, name, kind, site, lifecycle) VALUES ($1, 'default', $2, 'server', $3, $4)`,
        [uuidv7(), name, site, lifecycle],
      );
    const count = { id: 'count', uses: 'asset.count', with: { on: '${{ inputs.on }}' } };
    await stack.addRunbook('count', {
      inputs: { type: 'object', properties: { on: { type: 'string' } } },
      steps: [{ ...count, outputs: { count: 'result.count' } }],
      outputs: { count: 'steps.count.count' },
    });
    worker = await stack.startWorker();
  }, 180_000);
  afterAll(async () => {
    await worker?.stop();
    await stack?.close();
  });

  const counting = async (on: string): Promise<RunDetail> =>
    stack.ended((await stack.start('count', { inputs: { on } })).id);
  const counted = async (on: string): Promise<unknown> => (await counting(on)).outputs;

  it('counts what is selected and not retired, none included', async () => {
    expect(await counted('true')).toEqual({ count: 2 });
    expect(await counted('asset.site == "ber"')).toEqual({ count: 1 });
    expect(await counted('has(asset.labels.ring) && asset.labels.ring == "1"')).toEqual({ count: 0 });
  }, 120_000);

  it('counts no more than whoever requested the run may see', async () => {
    const narrow = (selector: string | null): Promise<unknown> =>
      stack.dataSource.query(`UPDATE role_binding SET selector = $2 WHERE principal_id = $1`, [
        stack.principalId,
        selector,
      ]);
    await narrow('asset.site == "ams"');
    expect(await counted('true')).toEqual({ count: 1 });
    expect(await counted('asset.site == "ber"')).toEqual({ count: 0 });
    await narrow(null);
  }, 120_000);

  it('takes nothing that is no selector', async () => {
    const { input } = actionContracts['asset.count'];
    expect(input.safeParse({ on: 'asset.site ==' }).error?.issues).toMatchObject([
      { path: ['on'], message: expect.stringMatching(/./) },
    ]);
    const run = await counting('asset.nothing == 1');
    expect(run).toMatchObject({ state: 'failed', error: { message: expect.stringMatching(/nothing/) } });
  }, 120_000);
});
