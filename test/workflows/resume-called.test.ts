import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunDetail } from '@fettle/contracts';
import { endLostRun, resumeRun, signalRun } from '@fettle/operations';
import { connectTemporal, terminateWorkflow } from '@fettle/temporal';
import { backgroundLocks } from '../../apps/worker/dist/background/run-loop.js';
import { ScriptedService } from '../support/scripted-service.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

let stack: TestStack;
let service: ScriptedService;
let worker: WorkerProcess;

beforeAll(async () => {
  [stack, service] = await Promise.all([TestStack.create(), ScriptedService.start()]);
  worker = await stack.startWorker();
  const payload = { type: 'object', required: ['number'], properties: { number: { type: 'integer' } } };
  const ask = { id: 'ask', wait: { signal: 'number', payload, timeout: '5m' }, outputs: { number: 'result.number' } };
  await stack.addRunbook('leaf', { steps: [http('leaf_call'), ask], outputs: { number: 'steps.ask.number' } });
  await stack.addRunbook('outer', {
    steps: [
      http('outer_first'),
      { id: 'sub', call: { runbook: 'leaf' }, outputs: { number: 'result.number' } },
      http('outer_last'),
    ],
    summary: 'came to ${{ steps.sub.number }}',
  });
}, 120_000);
afterAll(async () => {
  await worker?.stop();
  await service?.close();
  await stack?.close();
});

const http = (id: string): Record<string, unknown> => ({
  id,
  uses: 'http.request',
  with: { method: 'POST', url: service.url(`/${id}`) },
});
const callsOf = (path: string): number => service.calls.filter((one) => one === `/${path}`).length;

async function until<Found>(what: string, find: () => Promise<Found | undefined>): Promise<Found> {
  for (let tries = 0; tries < 600; tries += 1) {
    const found = await find();
    if (found !== undefined) return found;
    await sleep(50);
  }
  throw new Error(`it never came to be: ${what}`);
}

/** Nobody sweeps meanwhile: the caller is lost, and not ended, for as long as the work takes. */
async function withoutSweeper<Result>(work: () => Promise<Result>): Promise<Result> {
  const runner = stack.dataSource.createQueryRunner();
  await runner.startTransaction();
  try {
    await runner.query('SELECT pg_advisory_xact_lock($1)', [backgroundLocks['sweep-runs']]);
    return await work();
  } finally {
    await runner.rollbackTransaction();
    await runner.release();
  }
}

async function takeAway(runId: string): Promise<void> {
  const { TEMPORAL_ADDRESS, FETTLE_TASK_QUEUE } = stack.environment;
  const temporal = connectTemporal({ address: TEMPORAL_ADDRESS!, namespace: 'default', taskQueue: FETTLE_TASK_QUEUE! });
  try {
    await terminateWorkflow(temporal, `run-${runId}`, 'the test takes it away');
  } finally {
    await temporal.close();
  }
}

describe('a run that was lost while the run that it had called went on and succeeded', () => {
  it('is taken up with what came of the call, which is not made again', async () => {
    const { id } = await stack.start('outer');
    const child = await until('the called run asks', async () => {
      const below = (await stack.run(id)).subRuns?.[0];
      if (below === undefined) return undefined;
      const asks = (await stack.run(below.id)).controlSteps.some(({ step }) => step === 'ask');
      return asks ? below.id : undefined;
    });
    await withoutSweeper(async () => {
      await takeAway(id);
      await stack.inTransaction((context) => signalRun(context, child, { name: 'number', payload: { number: 7 } }));
      expect(await stack.ended(child)).toMatchObject({ state: 'succeeded', outputs: { number: 7 } });
      const fault = { state: 'failed', code: 'workflow-lost', message: 'Its workflow is gone.' } as const;
      await stack.dataSource.transaction((transaction) =>
        endLostRun(transaction, { runId: id, space: 'default', cancelRequested: false }, fault),
      );
    });
    expect(await stack.run(id)).toMatchObject({ state: 'failed', error: { code: 'workflow-lost' } });
    const next = await stack.inTransaction((context) =>
      resumeRun(context, id, { targets: 'unfinished', rerunUnknown: false }),
    );
    const run: RunDetail = await stack.ended(next.id);
    expect({ state: run.state, error: run.error, summary: run.summary }).toEqual({
      state: 'succeeded',
      error: null,
      summary: 'came to 7',
    });
    expect(['outer_first', 'leaf_call', 'outer_last'].map(callsOf)).toEqual([1, 1, 1]);
    const runs: { count: string }[] = await stack.dataSource.query(
      `SELECT count(*) AS count FROM run WHERE runbook = 'leaf'`,
    );
    expect(Number(runs[0]!.count)).toBe(1);
    expect((await stack.run(child)).continuedBy ?? []).toEqual([]);
  }, 90_000);
});
