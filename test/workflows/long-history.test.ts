import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { cancelRun, signalRun } from '@fettle/operations';
import { connectTemporal, type TemporalClient } from '@fettle/temporal';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';
import { startTemporal, type ScratchTemporal } from '../support/temporal.js';

describe('a run whose history grows long', () => {
  let server: ScratchTemporal;
  let temporal: TemporalClient;
  let stack: TestStack;
  let sshd: Sshd;
  let worker: WorkerProcess;

  beforeAll(async () => {
    // The server's own suggestion comes after 4,096 events.
    server = await startTemporal({ dynamicConfig: ['limit.historyCount.suggestContinueAsNew=12'] });
    [stack, sshd] = await Promise.all([TestStack.create({ temporalAddress: server.address }), startSshd()]);
    await stack.addHosts(sshd, 3);
    worker = await stack.startWorker();
    temporal = connectTemporal({
      address: server.address,
      namespace: 'default',
      taskQueue: stack.environment.FETTLE_TASK_QUEUE!,
    });
  }, 120_000);

  afterAll(async () => {
    await temporal?.close();
    await worker?.stop();
    await sshd?.stop();
    await stack?.close();
    await server?.close();
  });

  it('goes on in a new execution, and no step is done twice', async () => {
    await stack.addRunbook('patient', {
      targets: 'asset.kind == "server"',
      steps: [
        {
          id: 'fourth_time',
          uses: 'ssh.script',
          // Each wait is long enough for the lane to come back to the workflow, which adds events.
          retry: { maxAttempts: 4, backoff: '3s', maxBackoff: '3s' },
          with: {
            script: 'f="$HOME/long-$1"; echo x >> "$f"; [ "$(wc -l < "$f")" -ge 4 ]',
            arguments: ['${{ asset.name }}'],
          },
        },
        { id: 'last', uses: 'ssh.run', with: { argv: ['true'] } },
      ],
    });
    const run = await stack.ended((await stack.start('patient')).id, 90_000);
    expect(run.error).toBeNull();
    expect(run.state).toBe('succeeded');
    for (const target of run.targets) {
      expect(await readFile(join(sshd.account.home, `long-${target.asset}`), 'utf8')).toBe('x\n'.repeat(4));
    }
    expect(await executions(run.id)).toBeGreaterThan(1);
  }, 120_000);

  it('goes on in the midst of a wave, which it neither begins nor ends twice', async () => {
    await stack.addRunbook('patient-waves', {
      targets: 'asset.kind == "server"',
      rollout: { waves: [1, '100%'], soak: '1s' },
      steps: [
        {
          id: 'third_time',
          uses: 'ssh.script',
          retry: { maxAttempts: 3, backoff: '3s', maxBackoff: '3s' },
          with: {
            script: 'f="$HOME/waves-$1"; echo x >> "$f"; [ "$(wc -l < "$f")" -ge 3 ]',
            arguments: ['${{ asset.name }}'],
          },
        },
      ],
    });
    const run = await stack.ended((await stack.start('patient-waves')).id, 90_000);
    expect(run).toMatchObject({ state: 'succeeded', error: null, counts: { succeeded: 3 } });
    for (const target of run.targets) {
      expect(await readFile(join(sshd.account.home, `waves-${target.asset}`), 'utf8')).toBe('x\n'.repeat(3));
    }
    const entries = await stack.dataSource.query<{ what: string }[]>(
      `SELECT kind || ' ' || (data ->> 'wave') AS what FROM entry WHERE run_id = $1 AND kind LIKE 'wave-%' ORDER BY seq`,
      [run.id],
    );
    expect(entries.map(({ what }) => what)).toEqual([
      'wave-started 1',
      'wave-ended 1',
      'wave-started 2',
      'wave-ended 2',
    ]);
    expect(await executions(run.id)).toBeGreaterThan(1);
  }, 120_000);

  it('goes on with branches, waits, calls and signals where they were, and cancels what rests', async () => {
    const script = (id: string) => ({ id, uses: 'ssh.run', with: { argv: ['true'] } });
    await stack.addRunbook('patient-sub', { steps: [{ id: 'rest', wait: { duration: '4s' } }] });
    await stack.addRunbook('patient-flow', {
      targets: 'asset.kind == "server"',
      steps: [
        {
          id: 'all',
          parallel: {
            each: [{ id: 'each', forEach: { items: ['a', 'b', 'c', 'd'], as: 'one', steps: [script('host')] } }],
            call: [{ id: 'sub', call: { runbook: 'patient-sub' } }],
            pause: [{ id: 'pause', wait: { duration: '3s' } }],
            signal: [{ id: 'signal', wait: { signal: 'go', timeout: '60s' } }],
          },
        },
        script('after'),
        {
          id: 'guarded',
          try: [{ id: 'long', wait: { duration: '1h' } }],
          finally: [script('clean')],
        },
      ],
    });
    const { id } = await stack.start('patient-flow');
    await until('the loop is through', hasEntry(id, 'iteration-started', 'each[d]'));
    await stack.inTransaction((context) => signalRun(context, id, { name: 'go', payload: {} }));
    await until('the long wait', hasEntry(id, 'step-started', 'long'));
    await stack.inTransaction((context) => cancelRun(context, id, {}));
    const run = await stack.ended(id, 60_000);
    expect(run).toMatchObject({ state: 'cancelled' });
    expect(run.controlSteps.map(({ step, attempt, state }) => `${step} ${attempt} ${state}`).sort()).toEqual([
      'long 1 cancelled',
      'pause 1 succeeded',
      'signal 1 succeeded',
      'sub 1 succeeded',
    ]);
    const steps = [...['a', 'b', 'c', 'd'].map((one) => `each[${one}]/host`), 'after', 'clean'];
    for (const target of run.targets)
      expect(target.steps.map(({ step, attempt }) => `${step} ${attempt}`)).toEqual(steps.map((step) => `${step} 1`));
    expect(await executions(run.id)).toBeGreaterThan(1);
  }, 120_000);

  function hasEntry(runId: string, kind: string, step: string): () => Promise<boolean> {
    return async () => {
      const rows: unknown[] = await stack.dataSource.query(
        `SELECT 1 FROM entry WHERE run_id = $1 AND kind = $2 AND step = $3`,
        [runId, kind, step],
      );
      return rows.length > 0;
    };
  }

  async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
    for (let tries = 0; tries < 600; tries += 1) {
      if (await holds()) return;
      await sleep(100);
    }
    throw new Error(`it never came to be: ${what}`);
  }

  /** 2 stands for any number above 1: the execution that claimed the run is not the one that ended it. */
  async function executions(runId: string): Promise<number> {
    const [row] = await stack.dataSource.query<{ workflow_id: string; workflow_run_id: string }[]>(
      `SELECT workflow_id, workflow_run_id FROM run WHERE id = $1`,
      [runId],
    );
    const last = await temporal.client.workflow.getHandle(row!.workflow_id).describe();
    expect(last.status.name).toBe('COMPLETED');
    return last.runId === row!.workflow_run_id ? 1 : 2;
  }
});
