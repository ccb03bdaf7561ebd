import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { requestCancel } from '@fettle/database';
import { ScriptedService } from '../support/scripted-service.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

describe('a cancel that the run finds in Postgres before Temporal tells it', () => {
  let stack: TestStack;
  let worker: WorkerProcess;
  let service: ScriptedService;

  beforeAll(async () => {
    [stack, service] = await Promise.all([TestStack.create(), ScriptedService.start()]);
    worker = await stack.startWorker();
  }, 120_000);

  afterAll(async () => {
    await worker?.stop();
    await stack?.close();
    await service?.close();
  });

  const call = (id: string, more: object = {}) => ({
    ...{ id, uses: 'http.request', with: { url: service.url(`/${id}`) }, ...more },
  });

  it('goes through what was begun: finally, capacity and rollback', async () => {
    // Nothing goes to Temporal: the row alone says it, as between the commit of a cancel and its signal.
    service.script('/first', () => ({ status: 200, afterMs: 1500 }));
    const undo = { uses: 'http.request', with: { url: service.url('/put-back') } };
    await stack.addRunbook('guarded', {
      steps: [
        {
          id: 'guard',
          try: [
            call('first', {
              with: { url: service.url('/first'), method: 'POST' },
              capacity: ['site:cancelled'],
              rollback: undo,
            }),
            call('second', { with: { url: service.url('/second'), method: 'POST' } }),
          ],
          finally: [call('open'), call('told')],
        },
      ],
    });
    const { id } = await stack.start('guarded');
    for (let tries = 0; !service.calls.includes('/first') && tries < 1000; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await stack.dataSource.transaction((transaction) => requestCancel(transaction, id, 'tester', null));
    const run = await stack.ended(id, 60_000);
    expect({ state: run.state, error: run.error }).toMatchObject({ state: 'cancelled' });
    expect(service.calls).toEqual(['/first', '/open', '/told', '/put-back']);
    expect(run.controlSteps.map(({ step, state }) => `${step} ${state}`)).toEqual(
      expect.arrayContaining(['first succeeded', 'open succeeded', 'told succeeded', 'first#undo succeeded']),
    );
    const held: unknown[] = await stack.dataSource.query(`SELECT 1 FROM capacity_request WHERE run_id = $1`, [id]);
    expect(held).toEqual([]);
  }, 120_000);
});
