import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { applyDocuments } from '@fettle/operations';
import { connectTemporal, type TemporalClient } from '@fettle/temporal';
import { startTemporal, type ScratchTemporal } from '../test/support/temporal.js';
import { TestStack, type WorkerProcess } from '../test/support/stack.js';
import { median, Report } from './report.js';

const SCHEDULES = Number(process.env.FETTLE_BENCH_SCHEDULES ?? 1000);
const ROUNDS = Number(process.env.FETTLE_BENCH_ROUNDS ?? 3);
/** Starts sent to Temporal at once; Fettle's relay has the same number. */
const CONCURRENT_STARTS = 20;
const GIVE_UP_MS = 300_000;
/** Documents in one request. */
const BATCH = 100;

/** How long from the first to the last, and how late each was. */
interface Burst {
  readonly spanMs: number;
  readonly lagsMs: readonly number[];
}

describe('schedule burst', () => {
  let temporal: ScratchTemporal;
  let stack: TestStack;
  let client: TemporalClient;
  let worker: WorkerProcess;

  beforeAll(async () => {
    // As `fettle up` and the compose file have it: kept on disk, more than 30 schedules a second.
    temporal = await startTemporal({ persistent: true });
    stack = await TestStack.create({ temporalAddress: temporal.address });
    await stack.addRunbook('short', { steps: [{ id: 'a', wait: { duration: '1m' } }] });
    const { FETTLE_TASK_QUEUE: taskQueue } = stack.environment;
    client = connectTemporal({ address: temporal.address, namespace: 'default', taskQueue: taskQueue! });
    worker = await stack.startWorker();
  }, 300_000);

  afterAll(async () => {
    await worker?.stop();
    await client?.close();
    await stack?.close();
    await temporal?.close();
  });

  /**
   * Plain starts of a workflow that does next to nothing, with the same worker: what this server can do at all. How long until Temporal
   * had taken all of them, and until each had done its one activity, which is where a run counts as started, too.
   */
  async function plainStarts(round: number): Promise<{ readonly takenMs: number; readonly begunMs: number }> {
    const startedAt = performance.now();
    let next = 0;
    const lane = async (): Promise<void> => {
      for (let index = next++; index < SCHEDULES; index = next++) {
        await client.client.workflow.start('settleSchedules', {
          workflowId: `plain-${round}-${index}`,
          taskQueue: client.taskQueue,
        });
      }
    };
    await Promise.all(Array.from({ length: CONCURRENT_STARTS }, lane));
    const takenMs = performance.now() - startedAt;
    const done = `WorkflowId STARTS_WITH 'plain-${round}-' AND ExecutionStatus = 'Completed'`;
    await until(async () => (await client.client.workflow.count(done)).count >= SCHEDULES);
    return { takenMs, begunMs: performance.now() - startedAt };
  }

  async function schedule(prefix: string, atMs: (index: number) => number, count: number): Promise<void> {
    for (let from = 0; from < count; from += BATCH) {
      const documents: string[] = [];
      for (let index = from; index < Math.min(from + BATCH, count); index += 1) {
        const at = `${new Date(atMs(index)).toISOString().slice(0, 19)}Z`;
        const name = `${prefix}-${index}`;
        documents.push(
          `apiVersion: fettle/v1\nkind: Schedule\nmetadata: {name: ${name}}\nspec: {runbook: short, at: "${at}", overlap: allow}\n`,
        );
      }
      await stack.inTransaction((context) => applyDocuments(context, { source: documents.join('---\n') }));
    }
    await until(async () => {
      const rows: { left: number }[] = await stack.dataSource.query(
        `SELECT count(*)::integer AS left FROM outbox WHERE kind = 'put-schedule' AND sent_at IS NULL`,
      );
      return rows[0]!.left === 0;
    });
    // Otherwise the first of them come before the last one is there, and there is no burst.
    expect(Date.now()).toBeLessThan(atMs(0) - 1000);
  }

  async function until(isDone: () => Promise<boolean>): Promise<void> {
    const giveUpAtMs = Date.now() + GIVE_UP_MS;
    while (!(await isDone())) {
      if (Date.now() > giveUpAtMs) throw new Error(`it does not come to it: ${worker.log.slice(-2000)}`);
      await sleep(250);
    }
  }

  /** When the runs' workflows began, by the database's clock. */
  async function begun(prefix: string, count: number): Promise<Burst> {
    const query = `SELECT extract(epoch FROM r.started_at)::float8 * 1000 AS "startedMs",
        extract(epoch FROM r.fire_at)::float8 * 1000 AS "dueMs"
      FROM run r JOIN schedule s ON s.id = r.schedule_id WHERE s.name LIKE $1 AND r.started_at IS NOT NULL`;
    const read = (): Promise<{ startedMs: number; dueMs: number }[]> => stack.dataSource.query(query, [`${prefix}-%`]);
    await until(async () => (await read()).length >= count);
    const rows = await read();
    const fires: { outcome: string; fires: number }[] = await stack.dataSource.query(
      `SELECT f.outcome, count(*)::integer AS fires FROM fire f JOIN schedule s ON s.id = f.schedule_id WHERE s.name LIKE $1 GROUP BY 1`,
      [`${prefix}-%`],
    );
    expect(fires.reduce((sum, row) => sum + row.fires, 0)).toBe(count);
    const started = rows.map((row) => row.startedMs);
    return {
      spanMs: Math.max(...started) - Math.min(...started),
      lagsMs: rows.map((row) => row.startedMs - row.dueMs).sort((a, b) => a - b),
    };
  }

  const quantile = (sorted: readonly number[], part: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;

  it(`starts ${SCHEDULES} schedules that are due in the same second`, async () => {
    const report = new Report(
      'Schedule burst',
      `${SCHEDULES} schedules due in one second, each with a run of a minute, from the begin of the first run to that of the last, against plain starts of as many workflows on the same server and worker, ${CONCURRENT_STARTS} at once: until Temporal had taken them (the goal), and until each had begun`,
      [
        'what',
        'rounds',
        'plain starts taken a second',
        'plain starts begun a second',
        'runs of schedules a second',
        'ratio to taken',
        'ratio to begun',
        'last one after ms',
        'lag p99 ms',
      ],
    );
    const plain: { readonly takenMs: number; readonly begunMs: number }[] = [];
    const bursts: Burst[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      plain.push(await plainStarts(round));
      const dueMs = Math.ceil((Date.now() + 20_000 + SCHEDULES * 60) / 1000) * 1000;
      await schedule(`burst-${round}`, () => dueMs, SCHEDULES);
      bursts.push(await begun(`burst-${round}`, SCHEDULES));
      await until(async () => (await openRuns()) === 0);
    }
    const rate = (ms: number): number => (SCHEDULES * 1000) / ms;
    report.row([
      'all in one second',
      ROUNDS,
      median(plain.map(({ takenMs }) => rate(takenMs))),
      median(plain.map(({ begunMs }) => rate(begunMs))),
      median(bursts.map((burst) => rate(burst.spanMs))),
      median(bursts.map((burst, round) => (plain[round]?.takenMs ?? 0) / burst.spanMs)),
      median(bursts.map((burst, round) => (plain[round]?.begunMs ?? 0) / burst.spanMs)),
      median(bursts.map((burst) => burst.lagsMs.at(-1) ?? 0)),
      '',
    ]);
    const half = median(plain.map(({ takenMs }) => rate(takenMs))) / 2;
    const spread = Math.min(SCHEDULES, Math.floor(half * 60));
    const firstMs = Math.ceil((Date.now() + 20_000 + spread * 60) / 1000) * 1000;
    // At half of what the server starts, for as long as the schedules last: a minute, or less.
    const spreadMs = (spread / half) * 1000;
    await schedule('spread', (index) => firstMs + Math.floor((index / spread) * (spreadMs / 1000)) * 1000, spread);
    const { lagsMs } = await begun('spread', spread);
    report.row([
      `spread over ${Math.round(spreadMs / 1000)} s at half the rate (${spread} schedules)`,
      1,
      '',
      '',
      half,
      '',
      '',
      lagsMs.at(-1) ?? 0,
      quantile(lagsMs, 0.99),
    ]);
    await report.write();
  }, 3_600_000);

  async function openRuns(): Promise<number> {
    const rows: { open: number }[] = await stack.dataSource.query(
      `SELECT count(*)::integer AS open FROM run WHERE ended_at IS NULL`,
    );
    return rows[0]!.open;
  }
});
