import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { enqueueCommands, readDueCommands } from '@fettle/database';
import { connectTemporal, terminateWorkflow, type TemporalClient } from '@fettle/temporal';
import { relayOutbox } from '../../apps/worker/dist/background/relay-outbox.js';
import { TestStack } from '../support/stack.js';

const STARTS = 250;

describe('the relay of commands to Temporal', () => {
  let stack: TestStack;
  let temporal: TemporalClient;
  const started: string[] = [];
  const failures: string[] = [];
  const logger = { warn: ({ subject }: { subject: string }) => void failures.push(subject) };

  beforeAll(async () => {
    stack = await TestStack.create();
    const { TEMPORAL_ADDRESS, FETTLE_TASK_QUEUE } = stack.environment;
    const nobody = `${FETTLE_TASK_QUEUE}-nobody`;
    temporal = connectTemporal({ address: TEMPORAL_ADDRESS!, namespace: 'default', taskQueue: nobody });
  }, 60_000);
  afterAll(async () => {
    for (const workflowId of started) await terminateWorkflow(temporal, workflowId, 'the test is over');
    await temporal?.close();
    await stack?.close();
  });

  async function enqueueStarts(name: string, count: number): Promise<string[]> {
    const subjects = Array.from(
      { length: count },
      (_, index) => `${stack.environment.FETTLE_TASK_QUEUE}-${name}-${index}`,
    );
    started.push(...subjects);
    await stack.dataSource.transaction((transaction) =>
      enqueueCommands(
        transaction,
        subjects.map((subject) => ({ kind: 'start-run', subject, payload: { runId: subject, timeoutMs: 60_000 } })),
      ),
    );
    return subjects;
  }

  function enqueueCancel(subject: string): Promise<void> {
    return stack.dataSource.transaction((transaction) =>
      enqueueCommands(transaction, [{ kind: 'cancel-run', subject, payload: { runId: subject } }]),
    );
  }

  function round(): Promise<{ more: boolean }> {
    const task = relayOutbox(temporal, logger as never);
    return stack.dataSource.transaction((transaction) => task.round(transaction));
  }

  async function unsent(): Promise<string[]> {
    const rows: { subject: string }[] = await stack.dataSource.query(
      `SELECT subject FROM outbox WHERE sent_at IS NULL ORDER BY id`,
    );
    return rows.map(({ subject }) => subject);
  }

  it('sends each command once, those of one subject in order, and a cancel before the starts that were there before it', async () => {
    const [first] = await enqueueStarts('once', STARTS);
    await enqueueCancel(first!);
    await enqueueCancel('nobody-knows-it');
    const due = await readDueCommands(stack.dataSource.manager, 2);
    expect(due.map(({ kind, subject }) => [kind, subject])).toEqual([
      ['cancel-run', 'nobody-knows-it'],
      ['start-run', first],
    ]);
    const sent = jest.spyOn(temporal.client.workflow, 'start');
    try {
      while ((await round()).more);
      expect(sent).toHaveBeenCalledTimes(STARTS);
    } finally {
      sent.mockRestore();
    }
    expect(await unsent()).toEqual([]);
    const description = await temporal.client.workflow.getHandle(first!).describe();
    expect(description.raw.workflowExtendedInfo?.cancelRequested).toBe(true);
    expect(failures).toEqual([]);
  }, 60_000);

  it('sends what comes while one call hangs, and tries that one again', async () => {
    const [hanging] = await enqueueStarts('hanging', 1);
    const start = temporal.client.workflow.start.bind(temporal.client.workflow);
    const call = jest.spyOn(temporal.client.workflow, 'start');
    let giveUp: (error: Error) => void = () => undefined;
    let isHanging = true;
    call.mockImplementation(((type: string, options: { workflowId: string }) =>
      isHanging && options.workflowId === hanging
        ? new Promise((_, reject) => (giveUp = reject))
        : start(type, options as never)) as never);
    try {
      const first = round();
      const [other] = await enqueueStarts('other', 1);
      while (!call.mock.calls.some(([, options]) => options.workflowId === other))
        await new Promise((resolve) => setTimeout(resolve, 20));
      giveUp(new Error('no answer'));
      expect(await first).toEqual({ more: true });
      expect([await unsent(), failures]).toEqual([[hanging], [hanging]]);
      isHanging = false;
      while ((await unsent()).length > 0) await round();
    } finally {
      call.mockRestore();
    }
    expect((await temporal.client.workflow.getHandle(hanging!).describe()).status.name).toBe('RUNNING');
  }, 60_000);
});
