import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { AuditRecordView, Page, RunHistoryView } from '@fettle/contracts';
import { cancelRun } from '@fettle/operations';
import { connectTemporal, type TemporalClient } from '@fettle/temporal';
import { archiveHistories } from '../../apps/worker/dist/background/archive-histories.js';
import { quietReplays, replayHistories } from '../../apps/worker/dist/replay-histories.js';
import { ApiProcess } from '../support/api-process.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';
import { startTemporal, type ScratchTemporal } from '../support/temporal.js';

const run = promisify(execFile);
const cli = new URL('../../apps/cli/bin/fettle.mjs', import.meta.url).pathname;
quietReplays();

describe('the archive of histories', () => {
  let server: ScratchTemporal;
  let temporal: TemporalClient;
  let stack: TestStack;
  let worker: WorkerProcess;
  let api: ApiProcess;
  let folder: string;

  beforeAll(async () => {
    server = await startTemporal({
      // Each history comes in several pages.
      dynamicConfig: ['limit.historyCount.suggestContinueAsNew=12', 'frontend.historyMaxPageSize=5'],
    });
    stack = await TestStack.create({ temporalAddress: server.address });
    folder = await mkdtemp(join(tmpdir(), 'fettle-archive-'));
    const taskQueue = stack.environment.FETTLE_TASK_QUEUE!;
    temporal = connectTemporal({ address: server.address, namespace: 'default', taskQueue });
    worker = await stack.startWorker();
    api = await ApiProcess.start(stack.environment);
    const rests = Array.from({ length: 4 }, (_, n) => ({ id: `rest_${n}`, wait: { duration: '50ms' } }));
    await stack.addRunbook('sub', { steps: [{ id: 'rest', wait: { duration: '10ms' } }] });
    await stack.addRunbook('long', { steps: [...rests, { id: 'sub', call: { runbook: 'sub' } }, ...tail(4)] });
    await stack.addRunbook('short', { steps: [{ id: 'rest', wait: { duration: '10ms' } }] });
  }, 120_000);

  afterAll(async () => {
    await temporal?.close();
    await api?.stop();
    await worker?.stop();
    await stack?.close();
    await server?.close();
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  }, 60_000);

  const tail = (count: number) =>
    Array.from({ length: count }, (_, n) => ({ id: `t_${n}`, wait: { duration: '50ms' } }));

  async function history(runId: string): Promise<RunHistoryView> {
    const answer = await api.call('GET', `/api/v1/runs/${runId}/history`);
    expect(answer.status).toBe(200);
    return answer.body as unknown as RunHistoryView;
  }

  async function archived(runId: string): Promise<RunHistoryView> {
    for (let tries = 0; tries < 600; tries += 1) {
      const view = await history(runId);
      if (view.state === 'archived' || view.state === 'incomplete') return view;
      await sleep(100);
    }
    throw new Error(`run ${runId} is not archived`);
  }

  function fettle(...args: string[]): Promise<{ stdout: string; stderr: string }> {
    const env = { PATH: process.env['PATH'], FETTLE_URL: api.url, FETTLE_TOKEN: api.token, HOME: folder };
    return run(process.execPath, [cli, ...args], { env, maxBuffer: 64 * 2 ** 20 });
  }

  async function recordsOf(runId: string): Promise<AuditRecordView[]> {
    const answer = await api.call('GET', `/api/v1/audit?objectKind=run&objectName=${runId}`);
    return (answer.body as unknown as Page<AuditRecordView>).items.filter(({ action }) => action === 'run.archive');
  }

  it('keeps all executions of a run and of those that it called, with their digest in the audit log', async () => {
    const { id } = await stack.start('long');
    expect(await history(id)).toMatchObject({ executions: [], audit: [] });
    const ended = await stack.ended(id);
    expect(ended).toMatchObject({ state: 'succeeded', engineVersion: expect.stringMatching(/^1\+[0-9a-f]{12}$/) });
    const view = await archived(id);
    expect(view).toMatchObject({ state: 'archived', engineVersion: ended.engineVersion, audit: [{ fits: true }] });
    expect(view.executions.length).toBeGreaterThan(1);
    expect(view.executions.map(({ number }) => number)).toEqual(view.executions.map((_, index) => index + 1));
    const records = await recordsOf(id);
    expect(records).toHaveLength(1);
    expect(records[0]).toMatchObject({
      id: view.audit[0]!.record,
      detail: {
        sha256: view.audit[0]!.sha256,
        executions: view.executions.length,
        histories: view.executions.map(({ workflowRunId, state, sha256 }) => ({ workflowRunId, state, sha256 })),
      },
    });
    expect(await archived(ended.subRuns![0]!.id)).toMatchObject({ state: 'archived', executions: [{ number: 1 }] });
  }, 120_000);

  it('is read after Temporal has dropped it, and replayed', async () => {
    const { id } = await stack.start('long');
    await stack.ended(id);
    const view = await archived(id);
    for (const { workflowId, workflowRunId } of view.executions) {
      await temporal.client.workflowService.deleteWorkflowExecution({
        namespace: 'default',
        workflowExecution: { workflowId, runId: workflowRunId },
      });
    }
    // Temporal deletes in the background, and only once its queues have acknowledged that the execution closed.
    const gone = () => temporal.client.workflow.getHandle(view.executions[0]!.workflowId).describe();
    for (
      let tries = 0;
      tries < 1200 &&
      (await gone().then(
        () => true,
        () => false,
      ));
      tries += 1
    )
      await sleep(100);
    await expect(gone()).rejects.toThrow();
    const shown = JSON.parse((await fettle('run', 'history', id, '-o', 'json')).stdout) as RunHistoryView;
    expect(shown).toEqual(view);
    const texts: unknown[] = [];
    for (const { number, events } of view.executions) {
      const file = join(folder, `${number}.json`);
      await fettle('run', 'history', id, '--raw', file, '--execution', String(number));
      const json = JSON.parse(await readFile(file, 'utf8')) as { events: unknown[] };
      expect(json.events).toHaveLength(events!);
      texts.push(json);
    }
    const replayed = await replayHistories(texts.map((one, index) => ({ name: String(index), history: one })));
    expect(replayed).toEqual(texts.map((_, index) => ({ name: String(index), fault: null })));
    const { stdout } = await fettle('run', 'history', id, '--events', '--execution', '1');
    expect(stdout).toMatch(/1 .*workflow_execution_started +runRunbook\n/);
    expect(stdout).toMatch(/marker_recorded +claimRun\n/);
    // Archived once: another round changes nothing.
    await round();
    expect(await history(id)).toEqual(view);
  }, 240_000);

  it('says what Temporal no longer had', async () => {
    await worker.stop();
    const { id } = await stack.start('short');
    await stack.inTransaction((context) => cancelRun(context, id, {}));
    expect(await stack.run(id)).toMatchObject({ state: 'cancelled' });
    await sleep(2500);
    await round();
    expect(await archived(id)).toMatchObject({
      state: 'incomplete',
      engineVersion: null,
      executions: [{ state: 'missing', sha256: null, reason: expect.stringContaining('no such workflow') }],
      audit: [{ fits: true }],
    });
    await expect(fettle('run', 'history', id, '--raw', '-')).rejects.toMatchObject({
      code: 3,
      stderr: expect.stringContaining('no such workflow'),
    });
    worker = await stack.startWorker();
  }, 120_000);

  it('is told to have been dropped where it was removed, and not archived again; its digest stays in the audit log', async () => {
    const { id } = await stack.start('short');
    await stack.ended(id);
    await archived(id);
    // As the how-to says.
    await stack.dataSource.query(
      `DELETE FROM run_history WHERE run_id IN (SELECT id FROM run WHERE ended_at < now() - interval '0 days' AND id = $1)`,
      [id],
    );
    await round();
    expect(await history(id)).toMatchObject({ state: 'dropped', executions: [], audit: [] });
    expect(await recordsOf(id)).toMatchObject([
      { detail: { archived: 1, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) } },
    ]);
    expect((await fettle('run', 'history', id)).stdout).toMatch(/^State +dropped$/m);
    await expect(fettle('run', 'history', id, '--events')).rejects.toMatchObject({
      code: 3,
      stderr: expect.stringContaining('it was dropped from the archive; its digest stands in the audit log'),
    });
  }, 120_000);

  it('tells what was changed in the database', async () => {
    const { id } = await stack.start('short');
    await stack.ended(id);
    await archived(id);
    await stack.dataSource.query(`UPDATE run_history SET data = decode('1f8b', 'hex') || data WHERE run_id = $1`, [id]);
    await expect(fettle('run', 'history', id, '--raw', '-')).rejects.toMatchObject({ code: 1 });
    await stack.dataSource.query(`UPDATE run_history SET sha256 = repeat('0', 64) WHERE run_id = $1`, [id]);
    expect(await history(id)).toMatchObject({ audit: [{ fits: false }] });
    await expect(fettle('run', 'history', id)).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('is not what audit record'),
    });
  }, 120_000);

  it('is read by those alone who may read the run', async () => {
    const { id } = await stack.start('short');
    await stack.ended(id);
    await archived(id);
    for (const path of [`/api/v1/runs/${id}/history`, `/api/v1/runs/${id}/history/1`]) {
      expect((await api.call('GET', path, { headers: { authorization: 'Bearer wrong' } })).status).toBe(401);
    }
    expect((await api.call('GET', `/api/v1/runs/${id}/history/7`)).status).toBe(404);
    expect((await api.call('GET', `/api/v1/runs/${id}/history/x`)).status).toBe(400);
  }, 60_000);

  /** One round of the background task, here. */
  async function round(): Promise<void> {
    const warnings: unknown[] = [];
    const task = archiveHistories(stack.dataSource, temporal, {
      warn: (detail: unknown) => void warnings.push(detail),
    });
    await stack.dataSource.transaction((transaction) => task.round(transaction));
    expect(warnings).toEqual([]);
  }
});
