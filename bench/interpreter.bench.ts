import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startRun } from '@fettle/operations';
import { connectTemporal, type TemporalClient } from '@fettle/temporal';
import { startSshd, type Sshd } from '../test/support/sshd.js';
import { TestStack, WorkerProcess } from '../test/support/stack.js';
import { Report, type Sample } from './report.js';

const RUNS = Number(process.env.FETTLE_BENCH_RUNS ?? 200);
const STEPS = 20;
const ROUNDS = Number(process.env.FETTLE_BENCH_ROUNDS ?? 3);
const GIVE_UP_MS = 300_000;
const POLL_MS = 50;
/** Starts sent to Temporal at once; Fettle's relay has the same number. */
const CONCURRENT_STARTS = 20;

const path = (name: string): string => fileURLToPath(new URL(`./interpreter/${name}`, import.meta.url));

describe('interpreter', () => {
  let stack: TestStack;
  let sshd: Sshd;
  let temporal: TemporalClient;

  beforeAll(async () => {
    // Accepting a run looks at the registry as well.
    await import(path('noop-action.mjs'));
    [stack, sshd] = await Promise.all([TestStack.create(), startSshd()]);
    await stack.addHosts(sshd, 1);
    const steps = (uses: string) => Array.from({ length: STEPS }, (_, index) => ({ id: `s${index}`, uses, with: {} }));
    await stack.addRunbook('control', { steps: steps('bench.noop') });
    await stack.addRunbook('target', { targets: 'asset.kind == "server"', steps: steps('bench.noop-target') });
    temporal = connectTemporal({
      address: stack.environment.TEMPORAL_ADDRESS!,
      namespace: 'default',
      taskQueue: stack.environment.FETTLE_TASK_QUEUE!,
    });
  }, 300_000);

  afterAll(async () => {
    await temporal?.close();
    await sshd?.stop();
    await stack?.close();
  });

  /** All runs in one transaction. Without `relayed` nothing is sent to Temporal: the caller does. */
  function accept(runbook: string, relayed: boolean): Promise<string[]> {
    return stack.inTransaction(async (context) => {
      const ids: string[] = [];
      for (let run = 0; run < RUNS; run += 1) {
        const request = { space: 'default', runbook, inputs: {}, on: undefined, allowEmpty: true };
        ids.push((await startRun(context, request)).id);
      }
      if (!relayed) await context.transaction.query(`DELETE FROM outbox WHERE sent_at IS NULL`);
      return ids;
    });
  }

  async function measured(worker: WorkerProcess, start: () => Promise<string[]>): Promise<Sample> {
    try {
      const cpuBefore = await worker.cpuMs();
      const ids = await start();
      const giveUpAtMs = Date.now() + GIVE_UP_MS;
      for (;;) {
        const [row] = await stack.dataSource.query<{ open: number }[]>(
          `SELECT count(*) AS open FROM run WHERE ended_at IS NULL AND id = ANY ($1)`,
          [ids],
        );
        if (row!.open === 0) break;
        if (Date.now() > giveUpAtMs) throw new Error(`${row!.open} runs have not ended: ${worker.log.slice(-2000)}`);
        await sleep(POLL_MS);
      }
      const cpuMs = (await worker.cpuMs()) - cpuBefore;
      return { wallMs: await spanMs(ids), cpuMs };
    } finally {
      await worker.stop();
    }
  }

  /** From the first run's start to the last run's end, as the database saw them; checks that all rows are there. */
  async function spanMs(ids: readonly string[]): Promise<number> {
    const [row] = await stack.dataSource.query<{ ms: number; error: unknown; succeeded: number; steps: number }[]>(
      `SELECT (extract(epoch FROM max(ended_at) - min(started_at)) * 1000)::float8 AS ms,
         count(*) FILTER (WHERE state = 'succeeded') AS succeeded,
         (array_agg(error) FILTER (WHERE error IS NOT NULL))[1] AS error,
         (SELECT count(*) FROM run_step WHERE run_id = ANY ($1) AND state = 'succeeded') AS steps
       FROM run WHERE id = ANY ($1)`,
      [ids],
    );
    expect(row).toMatchObject({ error: null, succeeded: RUNS, steps: RUNS * STEPS });
    return row!.ms;
  }

  async function fettle(runbook: string): Promise<Sample> {
    const environment = { ...stack.environment, NODE_OPTIONS: `--import ${path('noop-action.mjs')}` };
    return measured(await WorkerProcess.start(environment), () => accept(runbook, true));
  }

  async function plain(): Promise<Sample> {
    const environment = { ...stack.environment, FETTLE_BENCH_POOL_SIZE: '20' };
    const worker = await WorkerProcess.start(environment, path('plain-worker.mjs'));
    return measured(worker, async () => {
      const ids = await accept('control', false);
      const queue = [...ids];
      const starter = async (): Promise<void> => {
        for (let id = queue.shift(); id !== undefined; id = queue.shift()) {
          await temporal.client.workflow.start('plainRun', {
            taskQueue: temporal.taskQueue,
            workflowId: `plain-${id}`,
            args: [id, STEPS],
          });
        }
      };
      await Promise.all(Array.from({ length: CONCURRENT_STARTS }, starter));
      return ids;
    });
  }

  it('measures runs of no-op steps against a plain workflow that writes the same rows', async () => {
    const samples: Record<'plain' | 'control' | 'target', Sample[]> = { plain: [], control: [], target: [] };
    for (let round = 0; round < ROUNDS; round += 1) {
      // Who comes second finds warmer caches: the order changes each round.
      const pair = [
        async () => void samples.control.push(await fettle('control')),
        async () => void samples.plain.push(await plain()),
      ];
      for (const one of round % 2 === 0 ? pair : pair.reverse()) await one();
      samples.target.push(await fettle('target'));
    }
    const report = new Report(
      'interpreter',
      `${RUNS} runs of ${STEPS} no-op steps, all accepted at once, from the first start to the last end. "Plain" is a workflow written
by hand: one activity a step, which writes *started*, the end and both entries through the same repositories; Fettle's action is
injected into the bench's worker only. "On a target" does the same steps on one asset, through a lane`,
    );
    report.add('Fettle, steps of the run itself', samples.control, RUNS, samples.control);
    report.add('plain workflow', samples.plain, RUNS, samples.control);
    report.add('Fettle, steps on a target', samples.target, RUNS, samples.control);
    await report.write();
  }, 1_800_000);
});
