import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { cancelRun } from '@fettle/operations';
import { claimRun } from '@fettle/database';
import { connectTemporal, listOpenAmong, terminateWorkflow, type TemporalClient } from '@fettle/temporal';
import { sweepRuns } from '../../apps/worker/dist/background/sweep-runs.js';
import { TestStack } from '../support/stack.js';

describe('the sweep of open runs', () => {
  let stack: TestStack;
  let temporal: TemporalClient;
  let nobody: string;
  const failures: string[] = [];
  const logger = { warn: (detail: { subjects?: string[] }) => void failures.push(...(detail.subjects ?? [])) };
  const started: string[] = [];

  beforeAll(async () => {
    stack = await TestStack.create();
    await stack.addRunbook('call', { steps: [{ id: 'a', uses: 'http.request', with: { url: 'http://x/' } }] });
    const { TEMPORAL_ADDRESS, FETTLE_TASK_QUEUE } = stack.environment;
    temporal = connectTemporal({ address: TEMPORAL_ADDRESS!, namespace: 'default', taskQueue: FETTLE_TASK_QUEUE! });
    nobody = `${FETTLE_TASK_QUEUE}-nobody`;
  }, 60_000);
  afterEach(async () => {
    await stack.dataSource.query(`UPDATE run SET state = 'failed', ended_at = now() WHERE ended_at IS NULL`);
  });
  afterAll(async () => {
    for (const workflowId of started) await terminateWorkflow(temporal, workflowId, 'the test is over');
    await temporal?.close();
    await stack?.close();
  });

  async function sweep(batch: number): Promise<void> {
    failures.length = 0;
    const task = sweepRuns(stack.dataSource, temporal, logger as never, batch);
    for (let more = true; more;) ({ more } = await stack.dataSource.transaction((own) => task.round(own)));
  }

  async function newRun(): Promise<string> {
    return (await stack.start('call')).id;
  }

  /** A run as it is after its start was sent a minute ago, and the workflow in a queue that nobody serves. */
  async function sentRun(workflow: 'workflow' | 'no workflow'): Promise<string> {
    const id = await newRun();
    await stack.dataSource.query(`UPDATE outbox SET sent_at = now() - interval '1 minute' WHERE subject = $1`, [
      `run-${id}`,
    ]);
    if (workflow === 'workflow') await startWorkflow(id);
    return id;
  }

  function startWorkflow(id: string) {
    const args = [{ runId: id, timeoutMs: 60_000 }];
    started.push(`run-${id}`);
    return temporal.client.workflow.start('runRunbook', { workflowId: `run-${id}`, taskQueue: nobody, args });
  }

  async function age(id: string, interval: string): Promise<void> {
    await stack.dataSource.query(
      `UPDATE run SET created_at = created_at - $2::interval, deadline_at = deadline_at - $2::interval WHERE id = $1`,
      [id, interval],
    );
  }

  async function statesOf(...ids: string[]): Promise<string[]> {
    return Promise.all(ids.map(async (id) => (await stack.run(id)).state));
  }

  it('gives a run its whole time from when it is taken up, however late that is', async () => {
    const id = await sentRun('workflow');
    await age(id, '30 days');
    await stack.dataSource.transaction((transaction) => claimRun(transaction, id, 'w'));
    await sweep(500);
    expect(await stack.run(id)).toMatchObject({ state: 'running', error: null });
    const rows: { afterStart: number; afterAcceptance: number }[] = await stack.dataSource.query(
      `SELECT extract(epoch FROM deadline_at - started_at)::float8 AS "afterStart",
         extract(epoch FROM started_at - created_at)::float8 AS "afterAcceptance" FROM run WHERE id = $1`,
      [id],
    );
    expect(rows[0]!.afterAcceptance).toBeGreaterThanOrEqual(30 * 86_400);
    expect(rows[0]!.afterStart).toBeCloseTo(86_400, -1);
  }, 60_000);

  it('ends a run whose start was never sent, once its time is over', async () => {
    const [late, early] = [await newRun(), await newRun()];
    await age(late, '30 days');
    await sweep(500);
    expect(await stack.run(late)).toMatchObject({
      state: 'timed-out',
      error: { code: 'deadline-passed', message: expect.stringContaining('could not be sent') },
    });
    expect(await statesOf(early)).toEqual(['queued']);
  }, 60_000);

  it('lets no run that Temporal or Postgres refuses stand in the way of another', async () => {
    const [refused, broken, lost, open] = [
      await sentRun('no workflow'),
      await sentRun('no workflow'),
      await sentRun('no workflow'),
      await sentRun('workflow'),
    ];
    // Temporal refuses to look for a workflow without an id.
    await stack.dataSource.query(`UPDATE run SET workflow_id = '' WHERE id = $1`, [refused]);
    await stack.dataSource.query(
      `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not this one'; END $$`,
    );
    await stack.dataSource.query(
      `CREATE TRIGGER refuse BEFORE UPDATE ON run FOR EACH ROW WHEN (OLD.id = '${broken}') EXECUTE FUNCTION refuse()`,
    );
    await sweep(2);
    await stack.dataSource.query(`DROP TRIGGER refuse ON run`);
    expect(await statesOf(refused, broken, lost, open)).toEqual(['queued', 'queued', 'failed', 'queued']);
    expect(await stack.run(lost)).toMatchObject({ error: { code: 'workflow-missing' } });
    expect(failures.sort()).toEqual(['', `run-${broken}`]);
  }, 60_000);

  it('asks one by one for those runs that the list does not have as open, and for the others in turns', async () => {
    const open = [await sentRun('workflow'), await sentRun('workflow')];
    const closed = await sentRun('workflow');
    await terminateWorkflow(temporal, `run-${closed}`, 'somebody did');
    const missing = await sentRun('no workflow');
    const ids = open.map((id) => `run-${id}`);
    const listed = async (): Promise<string[]> => [
      ...(await listOpenAmong(temporal, [...ids, `run-${closed}`, `run-${missing}`, `it's none`])),
    ];
    // The list follows with a delay.
    while ((await listed()).sort().join() !== [...ids].sort().join())
      await new Promise((resolve) => setTimeout(resolve, 100));
    const task = sweepRuns(stack.dataSource, temporal, logger as never, 500);
    const handles = jest.spyOn(temporal.client.workflow, 'getHandle');
    const sweepAndCount = async (): Promise<string[]> => {
      handles.mockClear();
      await stack.dataSource.transaction((own) => task.round(own));
      return handles.mock.calls.map(([workflowId]) => workflowId).sort();
    };
    try {
      // A digit of the id decides in which sweep one of the list is asked for all the same.
      const turnOf = (id: string): number => Number.parseInt(id.slice(-1), 16) % 8;
      for (let number = 0; number < 16; number += 1) {
        const others = number === 0 ? [closed, missing] : [];
        const expected = [...open.filter((id) => turnOf(id) === number % 8), ...others];
        expect(await sweepAndCount()).toEqual(expected.map((id) => `run-${id}`).sort());
      }
    } finally {
      handles.mockRestore();
    }
    expect(await statesOf(...open, closed, missing)).toEqual(['queued', 'queued', 'failed', 'failed']);
    expect(await stack.run(closed)).toMatchObject({ error: { code: 'workflow-closed' } });
  }, 60_000);

  it('finds the workflow of an ended run on whatever page it stands', async () => {
    const ended: string[] = [];
    for (let count = 0; count < 5; count += 1) {
      const id = await newRun();
      await stack.inTransaction((context) => cancelRun(context, id, {}));
      await startWorkflow(id);
      ended.push(id);
    }
    await stack.dataSource.query(`UPDATE run SET ended_at = now() - interval '1 hour' WHERE id = ANY ($1)`, [ended]);
    const open = await sentRun('workflow');
    const statusOf = async (id: string) =>
      (await temporal.client.workflow.getHandle(`run-${id}`).describe()).status.name;
    // Temporal's list follows its histories with a delay.
    for (let sweeps = 0; sweeps < 60; sweeps += 1) {
      await sweep(2);
      if (!(await Promise.all(ended.map(statusOf))).includes('RUNNING')) break;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    expect(await Promise.all(ended.map(statusOf))).toEqual(ended.map(() => 'TERMINATED'));
    expect(await statusOf(open)).toBe('RUNNING');
  }, 90_000);
});
