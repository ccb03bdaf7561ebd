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
const CONCURRENT_STARTS = 100;
const GIVE_UP_MS = 300_000;
/** What it takes to apply and place one schedule, and more; on a machine that is busy otherwise, the bench says that it was too little. */
const LEAD_MS = Number(process.env.FETTLE_BENCH_LEAD_MS ?? 60);
/** Documents in one request. */
const BATCH = 100;

/** How long from the first to the last, and how late each was, sorted. */
interface Span {
  readonly spanMs: number;
  readonly lagsMs: readonly number[];
}

/** The two ways to look at the same runs; each is compared with its own kind of plain starts only. */
interface Burst {
  /** By the start time that Temporal gives each workflow: from then on it is its own to carry on. */
  readonly started: Span;
  /** When the run's row says that it began: its workflow had its first activity done. */
  readonly begun: Span;
}

interface PlainStarts {
  /** From Temporal's start time of the first to that of the last. */
  readonly startedMs: number;
  /** From the first call until all had done their one activity. */
  readonly begunMs: number;
}

describe('schedule burst', () => {
  let temporal: ScratchTemporal;
  let stack: TestStack;
  let client: TemporalClient;
  let worker: WorkerProcess;

  beforeAll(async () => {
    // As `fettle up` and the compose file have it: kept on disk, more than 30 schedules a second.
    temporal = await startTemporal({ durable: true });
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
   * Plain starts of a workflow that does next to nothing, with the same worker: what this server can do at all. Temporal's start time of
   * each, and when each had done its one activity, which is where a run counts as begun, too.
   */
  async function plainStarts(round: number): Promise<PlainStarts> {
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
    const ours = `WorkflowId STARTS_WITH 'plain-${round}-'`;
    await until(async () => {
      const { count } = await client.client.workflow.count(`${ours} AND ExecutionStatus = 'Completed'`);
      return count >= SCHEDULES;
    });
    const begunMs = performance.now() - startedAt;
    return { startedMs: spanOf([...(await startTimes(ours)).values()]), begunMs };
  }

  /** Temporal's start time of each workflow, by id. */
  async function startTimes(query: string): Promise<ReadonlyMap<string, number>> {
    const found = new Map<string, number>();
    for await (const { workflowId, startTime } of client.client.workflow.list({ query, pageSize: 1000 }))
      found.set(workflowId, startTime.getTime());
    return found;
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

  async function burst(prefix: string, count: number): Promise<Burst> {
    interface Row {
      readonly workflowId: string;
      readonly begunMs: number;
      readonly dueMs: number;
    }
    const query = `SELECT r.workflow_id AS "workflowId", extract(epoch FROM r.started_at)::float8 * 1000 AS "begunMs",
        extract(epoch FROM r.fire_at)::float8 * 1000 AS "dueMs"
      FROM run r JOIN schedule s ON s.id = r.schedule_id WHERE s.name LIKE $1 AND r.started_at IS NOT NULL`;
    const read = (): Promise<Row[]> => stack.dataSource.query(query, [`${prefix}-%`]);
    await until(async () => (await read()).length >= count);
    const rows = await read();
    const fires: { outcome: string; fires: number }[] = await stack.dataSource.query(
      `SELECT f.outcome, count(*)::integer AS fires FROM fire f JOIN schedule s ON s.id = f.schedule_id WHERE s.name LIKE $1 GROUP BY 1`,
      [`${prefix}-%`],
    );
    expect(fires.reduce((sum, row) => sum + row.fires, 0)).toBe(count);
    // Temporal's list of workflows comes a little after them.
    let times = await startTimes(`WorkflowType = 'runRunbook'`);
    await until(async () => {
      times = await startTimes(`WorkflowType = 'runRunbook'`);
      return rows.every(({ workflowId }) => times.has(workflowId));
    });
    return {
      started: span(rows.map(({ workflowId, dueMs }) => ({ atMs: times.get(workflowId) ?? Infinity, dueMs }))),
      begun: span(rows.map(({ begunMs, dueMs }) => ({ atMs: begunMs, dueMs }))),
    };
  }

  function span(runs: readonly { readonly atMs: number; readonly dueMs: number }[]): Span {
    return {
      spanMs: spanOf(runs.map(({ atMs }) => atMs)),
      lagsMs: runs.map(({ atMs, dueMs }) => atMs - dueMs).sort((a, b) => a - b),
    };
  }

  const spanOf = (times: readonly number[]): number => Math.max(...times) - Math.min(...times);
  const quantile = (sorted: readonly number[], part: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;

  it(`starts ${SCHEDULES} schedules that are due in the same second`, async () => {
    const report = new Report(
      'Schedule burst',
      [
        `${SCHEDULES} schedules due in one second, each with a run of a minute, against plain starts of as many workflows on the same server and worker, ${CONCURRENT_STARTS} at once.`,
        '"Started" is Temporal\'s own start time of each workflow, from the first to the last, for runs as for plain starts (the goal);',
        '"begun" is when a run\'s row says that it began, from the first to the last, against plain starts until each had done its one activity.',
        'Lags are from the instant',
      ].join(' '),
      [
        'what',
        'rounds',
        'plain started a second',
        'runs started a second',
        'started: runs to plain',
        'plain begun a second',
        'runs begun a second',
        'begun: runs to plain',
        'last started after ms',
        'last begun after ms',
        'lag of starts p99 ms',
        'lag of begins p99 ms',
      ],
    );
    const plain: PlainStarts[] = [];
    const bursts: Burst[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      plain.push(await plainStarts(round));
      const dueMs = dueAt(SCHEDULES);
      await schedule(`burst-${round}`, () => dueMs, SCHEDULES);
      bursts.push(await burst(`burst-${round}`, SCHEDULES));
      await until(async () => (await openRuns()) === 0);
    }
    const rate = (ms: number): number => (SCHEDULES * 1000) / ms;
    const medianOf = (value: (burst: Burst, plain: PlainStarts) => number): number =>
      median(bursts.map((one, round) => value(one, plain[round]!)));
    report.row([
      'all in one second',
      ROUNDS,
      medianOf((_, { startedMs }) => rate(startedMs)),
      medianOf(({ started }) => rate(started.spanMs)),
      medianOf(({ started }, { startedMs }) => startedMs / started.spanMs),
      medianOf((_, { begunMs }) => rate(begunMs)),
      medianOf(({ begun }) => rate(begun.spanMs)),
      medianOf(({ begun }, { begunMs }) => begunMs / begun.spanMs),
      medianOf(({ started }) => started.lagsMs.at(-1) ?? 0),
      medianOf(({ begun }) => begun.lagsMs.at(-1) ?? 0),
      '',
      '',
    ]);
    const half = medianOf((_, { startedMs }) => rate(startedMs)) / 2;
    const spread = Math.min(SCHEDULES, Math.floor(half * 60));
    const firstMs = dueAt(spread);
    // At half of what the server starts, for as long as the schedules last: a minute, or less.
    const spreadMs = (spread / half) * 1000;
    await schedule('spread', (index) => firstMs + Math.floor((index / spread) * (spreadMs / 1000)) * 1000, spread);
    const { started, begun } = await burst('spread', spread);
    report.row([
      `spread over ${Math.round(spreadMs / 1000)} s at half the rate of plain starts (${spread} schedules)`,
      1,
      '',
      (spread * 1000) / started.spanMs,
      '',
      '',
      (spread * 1000) / begun.spanMs,
      '',
      started.lagsMs.at(-1) ?? 0,
      begun.lagsMs.at(-1) ?? 0,
      quantile(started.lagsMs, 0.99),
      quantile(begun.lagsMs, 0.99),
    ]);
    await report.write();
  }, 3_600_000);

  /** A full second that leaves the time to place so many schedules. */
  const dueAt = (count: number): number => Math.ceil((Date.now() + 10_000 + count * LEAD_MS) / 1000) * 1000;

  async function openRuns(): Promise<number> {
    const rows: { open: number }[] = await stack.dataSource.query(
      `SELECT count(*)::integer AS open FROM run WHERE ended_at IS NULL`,
    );
    return rows[0]!.open;
  }
});
