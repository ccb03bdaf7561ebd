import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startRun } from '@fettle/operations';
import { connectTemporal, type TemporalClient } from '@fettle/temporal';
import { createEmptyDatabase } from '../test/support/postgres.js';
import { TestStack, WorkerProcess } from '../test/support/stack.js';
import { PREFECT_AT_ONCE, prepareDbos, preparePrefect, type Peer } from './durable-steps/peers.js';
import { Report, type Sample } from './report.js';

const RUNS = Number(process.env.FETTLE_BENCH_RUNS ?? 100);
const ROUNDS = Number(process.env.FETTLE_BENCH_ROUNDS ?? 3);
/** Flows under way at once; Fettle's relay starts as many at a time. */
const AT_ONCE = 20;
const STEPS = ['s0', 's1', 's2'];
const GIVE_UP_MS = 300_000;

const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

function lastLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return (text.trim().split('\n').at(-1) ?? '').slice(0, 300);
}

describe('durable steps', () => {
  let stack: TestStack;
  let temporal: TemporalClient;
  const peers: Peer[] = [];
  const missing: string[] = [];

  beforeAll(async () => {
    for (const [name, prepare] of [
      ['Prefect', preparePrefect],
      ['DBOS', prepareDbos],
    ] as const) {
      try {
        peers.push(await prepare());
      } catch (error) {
        const reason = String(error instanceof Error ? error.message : error)
          .split('\n')
          .slice(0, 3)
          .join(' ');
        missing.push(`${name}: not measured, since it could not be installed here (${reason.slice(0, 300)})`);
      }
    }
    // Accepting a run looks at the registry as well.
    await import(path('./interpreter/noop-action.mjs'));
    stack = await TestStack.create();
    await stack.addRunbook('three', { steps: STEPS.map((id) => ({ id, uses: 'bench.noop', with: {} })) });
    temporal = connectTemporal({
      address: stack.environment.TEMPORAL_ADDRESS!,
      namespace: 'default',
      taskQueue: stack.environment.FETTLE_TASK_QUEUE!,
    });
  }, 1_500_000);

  afterAll(async () => {
    await temporal?.close();
    await stack?.close();
  });

  async function withWorker(worker: WorkerProcess, work: () => Promise<number>): Promise<Sample> {
    try {
      const cpuBefore = await worker.cpuMs();
      const wallMs = await work();
      return { wallMs, cpuMs: (await worker.cpuMs()) - cpuBefore };
    } finally {
      await worker.stop();
    }
  }

  async function fettle(): Promise<Sample> {
    const environment = { ...stack.environment, NODE_OPTIONS: `--import ${path('./interpreter/noop-action.mjs')}` };
    return withWorker(await WorkerProcess.start(environment), async () => {
      const startedAtMs = performance.now();
      const ids = await stack.inTransaction(async (context) => {
        const accepted: string[] = [];
        for (let run = 0; run < RUNS; run += 1) {
          const request = { space: 'default', runbook: 'three', inputs: {}, on: undefined, allowEmpty: true };
          accepted.push((await startRun(context, request)).id);
        }
        return accepted;
      });
      const giveUpAtMs = Date.now() + GIVE_UP_MS;
      for (;;) {
        const [row] = await stack.dataSource.query<{ done: number }[]>(
          `SELECT count(*) AS done FROM run WHERE state = 'succeeded' AND id = ANY ($1)`,
          [ids],
        );
        if (row!.done === RUNS) return performance.now() - startedAtMs;
        expect(Date.now()).toBeLessThan(giveUpAtMs);
        await sleep(20);
      }
    });
  }

  let rawCount = 0;
  async function raw(): Promise<Sample> {
    const worker = await WorkerProcess.start(stack.environment, path('./durable-steps/raw-worker.mjs'));
    return withWorker(worker, async () => {
      const startedAtMs = performance.now();
      let left = RUNS;
      const serve = async (): Promise<void> => {
        while (left-- > 0) {
          const workflowId = `raw-${(rawCount += 1)}-${temporal.taskQueue}`;
          await temporal.client.workflow.execute('threeSteps', { taskQueue: temporal.taskQueue, workflowId, args: [] });
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, serve));
      return performance.now() - startedAtMs;
    });
  }

  async function other(peer: Peer): Promise<Sample> {
    const database = await createEmptyDatabase();
    try {
      return await peer.measure(RUNS, AT_ONCE, database.url);
    } finally {
      await database.close();
    }
  }

  it('measures runs of three durable steps that do nothing', async () => {
    const own: Sample[] = [];
    const direct: Sample[] = [];
    const others = new Map(peers.map((peer) => [peer, [] as Sample[]]));
    for (let round = 0; round < ROUNDS; round += 1) {
      const all = [
        async () => void own.push(await fettle()),
        async () => void direct.push(await raw()),
        // Only those that have come through: each sample stands beside Fettle's of the same round.
        ...[...others].map(([peer, samples]) => async () => {
          try {
            samples.push(await other(peer));
          } catch (error) {
            others.delete(peer);
            missing.push(`${peer.name}: not measured, since it ended early (${lastLine(error)})`);
          }
        }),
      ];
      for (const one of round % 2 === 0 ? all : all.reverse()) await one();
    }
    const report = new Report(
      'durable-steps',
      `${RUNS} runs of three durable steps that do nothing, up to ${AT_ONCE} under way at once (Fettle: all accepted at once), from the first
start to the last end. Fettle writes a run's row, *started*, the end and the entries of each step, and an audit record; the raw SDK only
Temporal's history; Prefect (up to ${PREFECT_AT_ONCE} under way at once) its server's SQLite and the results of tasks as files; DBOS its tables in the same Postgres. CPU is of the
worker or flow process (of Prefect without its server)`,
    );
    report.add('Fettle, steps of the run itself', own, RUNS, own);
    report.add('raw Temporal SDK, three activities', direct, RUNS, own);
    for (const [peer, samples] of others) report.add(peer.name, samples, RUNS, own);
    for (const line of missing) report.note(line);
    await report.write();
  }, 3_600_000);
});
