import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { connectTemporal, type TemporalClient } from '@fettle/temporal';
import { TestStack, type WorkerProcess } from '../support/stack.js';
import { testTemporal } from '../support/temporal.js';

describe('a run in Temporal', () => {
  let stack: TestStack;
  let temporal: TemporalClient;
  let worker: WorkerProcess;
  beforeAll(async () => {
    stack = await TestStack.create();
    await stack.addRunbook('nothing', { steps: [{ id: 'a', wait: { duration: '1s' } }] });
    const { address, namespace } = testTemporal();
    temporal = connectTemporal({ address, namespace, taskQueue: stack.environment.FETTLE_TASK_QUEUE! });
    worker = await stack.startWorker();
  }, 120_000);
  afterAll(async () => {
    await worker?.stop();
    await temporal?.close();
    await stack?.close();
  });

  it('has its start answered with its first workflow task by Temporal, which finds no worker for it', async () => {
    const { id } = await stack.start('nothing');
    expect(await stack.ended(id)).toMatchObject({ state: 'succeeded' });
    const history = await temporal.client.workflow.getHandle(`run-${id}`).fetchHistory();
    const started = history.events?.[0]?.workflowExecutionStartedEventAttributes;
    expect(started).toMatchObject({ eagerExecutionAccepted: true });
  });

  it('keeps no stack trace of each promise, and says so', async () => {
    const { id } = await stack.start('nothing');
    await stack.ended(id);
    const query = temporal.client.workflow.getHandle(`run-${id}`).query('__stack_trace');
    await expect(query).rejects.toThrow('stack traces are not enabled');
  });
});
