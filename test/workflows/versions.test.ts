import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { signalRun } from '@fettle/operations';
import { connectTemporal, type TemporalClient } from '@fettle/temporal';
import { TestStack, WorkerProcess } from '../support/stack.js';
import { startTemporal, type ScratchTemporal } from '../support/temporal.js';

const exec = promisify(execFile);
const script = fileURLToPath(new URL('../../apps/worker/dist/deployment.js', import.meta.url));

describe('a versioned worker deployment', () => {
  let server: ScratchTemporal;
  let stack: TestStack;
  let temporal: TemporalClient;
  const workers: WorkerProcess[] = [];

  beforeAll(async () => {
    server = await startTemporal({
      dynamicConfig: [
        // Drainage is looked at every few minutes otherwise, and runs that just began would not be seen.
        'matching.wv.VersionDrainageStatusVisibilityGracePeriod="1s"',
        'matching.wv.VersionDrainageStatusRefreshInterval="1s"',
      ],
    });
    stack = await TestStack.create({ temporalAddress: server.address });
    const taskQueue = stack.environment.FETTLE_TASK_QUEUE!;
    temporal = connectTemporal({ address: server.address, namespace: 'default', taskQueue });
    await stack.addRunbook('waits', { steps: [{ id: 'go', wait: { signal: 'go', timeout: '10m' } }] });
  }, 120_000);

  afterAll(async () => {
    for (const worker of workers) await worker.stop();
    await temporal?.close();
    await stack?.close();
    await server?.close();
  }, 60_000);

  const environment = (build: string) => ({
    ...stack.environment,
    FETTLE_WORKER_DEPLOYMENT: 'fettle-test',
    FETTLE_BUILD_ID: build,
  });

  async function startWorker(build: string): Promise<WorkerProcess> {
    const worker = await WorkerProcess.start(environment(build));
    workers.push(worker);
    return worker;
  }

  /** What deployment.js says, and its exit code. */
  async function deployment(...args: string[]): Promise<{ code: number; stdout: string }> {
    try {
      const { stdout } = await exec(process.execPath, [script, ...args], { env: environment('a') });
      return { code: 0, stdout };
    } catch (error) {
      const { code, stdout } = error as { code: number; stdout: string };
      return { code, stdout };
    }
  }

  async function running(runId: string): Promise<void> {
    for (let tries = 0; tries < 600; tries += 1) {
      if ((await stack.run(runId)).controlSteps.length > 0) return;
      await sleep(100);
    }
    throw new Error(`run ${runId} does not wait`);
  }

  const finish = async (runId: string) => {
    await stack.inTransaction((context) => signalRun(context, runId, { name: 'go', payload: {} }));
    expect(await stack.ended(runId)).toMatchObject({ state: 'succeeded', error: null });
  };

  /** The builds whose workers completed workflow tasks of the run. */
  async function buildsOf(runId: string): Promise<string[]> {
    const [row] = await stack.dataSource.query<{ workflow_id: string }[]>(`SELECT workflow_id FROM run WHERE id = $1`, [
      runId,
    ]);
    const { events } = await temporal.client.workflow.getHandle(row!.workflow_id).fetchHistory();
    const builds = (events ?? []).flatMap(
      ({ workflowTaskCompletedEventAttributes: completed }) => completed?.deploymentVersion?.buildId ?? [],
    );
    return [...new Set(builds)];
  }

  it('ends runs on the build that they began on, begins new ones on the current one, and says when the old one is drained', async () => {
    const old = await startWorker('a');
    expect(await deployment('promote', 'a')).toMatchObject({ code: 0 });
    const before = await stack.start('waits');
    await running(before.id);
    await startWorker('b');
    expect(await deployment('promote', 'b')).toMatchObject({ code: 0 });
    const after = await stack.start('waits');
    await running(after.id);
    expect((await deployment('status')).stdout.split('\n').sort()).toEqual(['', 'a draining', 'b current']);
    expect(await deployment('drained', 'a')).toEqual({ code: 1, stdout: 'a draining\n' });
    await Promise.all([finish(before.id), finish(after.id)]);
    expect(await buildsOf(before.id)).toEqual(['a']);
    expect(await buildsOf(after.id)).toEqual(['b']);
    let drained = await deployment('drained', 'a');
    for (let tries = 0; tries < 240 && drained.code !== 0; tries += 1) {
      await sleep(500);
      drained = await deployment('drained', 'a');
    }
    expect(drained).toEqual({ code: 0, stdout: 'a drained\n' });
    await old.stop();
    const last = await stack.start('waits');
    await running(last.id);
    await finish(last.id);
    expect(await buildsOf(last.id)).toEqual(['b']);
  }, 280_000);

  it('does not call a build drained that it never heard of', async () => {
    await expect(exec(process.execPath, [script, 'drained', 'never'], { env: environment('a') })).rejects.toMatchObject(
      { code: 1, stdout: 'never unknown\n' },
    );
  }, 60_000);
});
