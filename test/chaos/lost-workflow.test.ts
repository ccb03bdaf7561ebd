import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { cancelRun } from '@fettle/operations';
import { connectTemporal, type TemporalClient } from '@fettle/temporal';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';
import { patiently } from './append-runs.js';

describe('rows and workflows that do not agree', () => {
  let stack: TestStack;
  let sshd: Sshd;
  let worker: WorkerProcess;
  let temporal: TemporalClient;

  beforeAll(async () => {
    [stack, sshd] = await Promise.all([TestStack.create(), startSshd()]);
    await stack.addHosts(sshd, 2);
    await stack.addRunbook('slow', {
      targets: 'asset.kind == "server"',
      steps: [
        {
          id: 'wait',
          uses: 'ssh.script',
          with: { script: 'echo $$ > "$HOME/pid-$1"; sleep 300 & wait', arguments: ['${{ asset.name }}'] },
        },
      ],
    });
    worker = await stack.startWorker();
    temporal = connectTemporal({
      address: stack.environment.TEMPORAL_ADDRESS!,
      namespace: 'default',
      taskQueue: stack.environment.FETTLE_TASK_QUEUE!,
    });
  }, 120_000);

  afterAll(async () => {
    await temporal?.close();
    await worker?.stop();
    await sshd?.stop();
    await stack?.close();
  });

  async function untilRunning(runId: string): Promise<void> {
    await patiently(async () => {
      const rows: unknown[] = await stack.dataSource.query(
        `SELECT 1 FROM run_step WHERE run_id = $1 AND state = 'started'`,
        [runId],
      );
      if (rows.length === 0) throw new Error(`run ${runId} has started no step`);
    });
  }

  it('ends a run whose workflow was terminated, within a minute and with the reason', async () => {
    const { id } = await stack.start('slow');
    await untilRunning(id);
    await temporal.client.workflow.getHandle(`run-${id}`).terminate('behind its back');
    const run = await stack.ended(id, 60_000);
    expect({ state: run.state, error: run.error }).toMatchObject({
      state: 'failed',
      error: { code: 'workflow-closed' },
    });
    expect(run.counts).toMatchObject({ pending: 0, running: 0 });
    const left: unknown[] = await stack.dataSource.query(
      `SELECT asset_id FROM run_step WHERE run_id = $1 AND state = 'started'`,
      [id],
    );
    expect(left).toEqual([]);
    // Nobody watches the commands any more, so they are ended on their hosts.
    await patiently(async () => {
      const pids = await sshd.processesOf('sleep');
      if (pids.length > 0) throw new Error(`sleep still runs: ${pids.join(', ')}`);
    }, 30_000);
  }, 120_000);

  it('ends a run whose workflow Temporal does not know', async () => {
    await worker.stop();
    const { id } = await stack.start('slow');
    await stack.dataSource.query(`UPDATE outbox SET sent_at = now() - interval '1 minute' WHERE subject = $1`, [
      `run-${id}`,
    ]);
    worker = await stack.startWorker();
    const run = await stack.ended(id, 60_000);
    expect(run).toMatchObject({ state: 'failed', error: { code: 'workflow-missing' } });
  }, 120_000);

  it('ends a run that is long past its deadline, whatever its workflow does', async () => {
    await worker.stop();
    const { id } = await stack.start('slow');
    // A workflow of a type that nobody serves stands for one that cannot go on.
    await temporal.client.workflow.start('runRunbookThatIsStuck', {
      workflowId: `run-${id}`,
      taskQueue: `${stack.environment.FETTLE_TASK_QUEUE}-nobody`,
    });
    await stack.dataSource.query(`UPDATE run SET deadline_at = now() - interval '1 hour' WHERE id = $1`, [id]);
    await stack.dataSource.query(`UPDATE outbox SET sent_at = now() - interval '1 minute' WHERE subject = $1`, [
      `run-${id}`,
    ]);
    worker = await stack.startWorker();
    const run = await stack.ended(id, 60_000);
    expect(run).toMatchObject({ state: 'timed-out', error: { code: 'deadline-passed' } });
    await patiently(async () => {
      const { status } = await temporal.client.workflow.getHandle(`run-${id}`).describe();
      if (status.name !== 'TERMINATED') throw new Error(`the workflow is ${status.name}`);
    });
  }, 120_000);

  it('terminates a workflow whose run has ended', async () => {
    await worker.stop();
    const { id } = await stack.start('slow');
    await stack.inTransaction((context) => cancelRun(context, id, { reason: 'never mind' }));
    expect((await stack.run(id)).state).toBe('cancelled');
    await stack.dataSource.query(`UPDATE run SET ended_at = now() - interval '1 hour' WHERE id = $1`, [id]);
    await stack.dataSource.query(`DELETE FROM outbox WHERE subject = $1`, [`run-${id}`]);
    const handle = await temporal.client.workflow.start('runRunbook', {
      workflowId: `run-${id}`,
      taskQueue: `${stack.environment.FETTLE_TASK_QUEUE}-nobody`,
      args: [{ runId: id, timeoutMs: 60_000 }],
    });
    worker = await stack.startWorker();
    await patiently(async () => {
      const { status } = await handle.describe();
      if (status.name !== 'TERMINATED') throw new Error(`the workflow is ${status.name}`);
    });
    expect((await stack.run(id)).state).toBe('cancelled');
  }, 120_000);
});
