import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { listUnservedRuns, type UnservedRuns } from '@fettle/database';
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
  async function said(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    try {
      const { stdout, stderr } = await exec(process.execPath, [script, ...args], { env: environment('a') });
      return { code: 0, stdout, stderr };
    } catch (error) {
      const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
      return { code, stdout, stderr };
    }
  }

  async function deployment(...args: string[]): Promise<{ code: number; stdout: string }> {
    const { code, stdout } = await said(...args);
    return { code, stdout };
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

  it('promotes no build without workers, whether it had some or never did', async () => {
    const before = (await deployment('status')).stdout;
    // The workers of `a` have been stopped above.
    for (const build of ['never', 'a']) {
      const refused = await said('promote', build, '--wait', '1');
      expect(refused).toMatchObject({ code: 1, stdout: '' });
      expect(refused.stderr).toBe(
        `No worker of build ${build} of deployment fettle-test is there now; new runs begin where they did before.\nStart its workers first.\n`,
      );
    }
    expect((await deployment('status')).stdout).toBe(before);
    expect(before).toContain('b current');
    for (const args of [['promote', 'b', '--wait', 'soon'], ['promise'], ['drained']]) {
      expect((await said(...args)).code).toBe(2);
    }
  }, 60_000);

  it('tells which open runs are pinned to a build without workers, and goes on with them once such a worker is back', async () => {
    const unserved = () => listUnservedRuns(stack.dataSource.manager);
    const { id } = await stack.start('waits');
    await running(id);
    expect(await unserved()).toEqual([]);
    for (const worker of workers) await worker.stop();
    const left = [{ engineVersion: expect.stringMatching(/^\d+\+/), workerBuild: 'fettle-test:b', count: 1 }];
    expect(await unserved()).toEqual(left);
    const other = await startWorker('c');
    expect(other.log).toMatch(
      /"workerBuild":"fettle-test:b","count":1,.*open runs are pinned to a build without workers/,
    );
    expect(await unserved()).toEqual(left);
    const back = await startWorker('b');
    expect(back.log).not.toContain('pinned to a build without workers');
    expect(await unserved()).toEqual([]);
    await finish(id);
    // Where workers are not versioned, the number of the engine decides.
    const wanted = (engineVersion: string) => ({ engineVersion, workerBuild: null, count: 1 });
    expect(await unservedIf(id, '1+0')).toEqual([wanted('1+0')]);
    workers.push(await WorkerProcess.start(stack.environment));
    expect(await unservedIf(id, '1+0')).toEqual([]);
    expect(await unservedIf(id, '7+0')).toEqual([wanted('7+0')]);
  }, 120_000);

  /** What would be unserved if the run were open, and of that version, which is not kept. */
  async function unservedIf(runId: string, engineVersion: string): Promise<UnservedRuns[]> {
    const runner = stack.dataSource.createQueryRunner();
    await runner.startTransaction();
    try {
      await runner.query(
        `UPDATE run SET ended_at = NULL, state = 'running', worker_build = NULL, engine_version = $2 WHERE id = $1`,
        [runId, engineVersion],
      );
      return await listUnservedRuns(runner.manager);
    } finally {
      await runner.rollbackTransaction();
      await runner.release();
    }
  }

  it('does not call a build drained that it never heard of', async () => {
    await expect(exec(process.execPath, [script, 'drained', 'never'], { env: environment('a') })).rejects.toMatchObject(
      { code: 1, stdout: 'never unknown\n' },
    );
  }, 60_000);
});
