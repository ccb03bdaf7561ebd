import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startRun } from '@fettle/operations';
import { connectTemporal, type TemporalClient } from '@fettle/temporal';
import { TestStack, WorkerProcess } from '../test/support/stack.js';
import { median, Report, rounded, type Sample } from './report.js';

const SIZES = (process.env.FETTLE_BENCH_HOSTS ?? '1000,10000,50000').split(',').map(Number);
const PLAIN_HOSTS = SIZES[0]!;
/** What each worker does before it is measured: its code is compiled then, as in a worker that has been up for a while. */
const WARM_UP_HOSTS = 200;
const ROUNDS = Number(process.env.FETTLE_BENCH_ROUNDS ?? 3);
/** The largest that a runbook may ask for, and as many as Temporal lets one activity a host have in the world without trouble. */
const AT_ONCE = 1000;
const GIVE_UP_MS = 900_000;
const POLL_MS = 100;

const path = (name: string): string => fileURLToPath(new URL(`./rollout/${name}`, import.meta.url));

interface RolloutSample extends Sample {
  readonly hosts: number;
  readonly events: number;
  readonly acceptMs: number;
}

interface Rollout {
  readonly wallMs: number;
  readonly workflowId: string;
  readonly acceptMs: number;
}

describe('rollout', () => {
  let stack: TestStack;
  let temporal: TemporalClient;

  beforeAll(async () => {
    // Accepting a run looks at the registry as well.
    await import(path('simulated-action.mjs'));
    stack = await TestStack.create();
    await stack.addCredential('nobody', 'password', 'not-used-by-a-simulated-host', 'nobody');
    for (const size of new Set([WARM_UP_HOSTS, ...SIZES])) {
      await addSimulatedHosts(size);
      await stack.addRunbook(`roll-${size}`, {
        targets: `asset.labels.group == "g${size}"`,
        rollout: { maxConcurrency: AT_ONCE, maxFailures: '5%' },
        steps: [{ id: 'work', uses: 'bench.simulated', with: {} }],
      });
    }
    await stack.addRunbook('plain', { steps: [{ id: 'none', uses: 'bench.none', with: {} }] });
    await stack.dataSource.query('ANALYZE');
    temporal = connectTemporal({
      address: stack.environment.TEMPORAL_ADDRESS!,
      namespace: 'default',
      taskQueue: stack.environment.FETTLE_TASK_QUEUE!,
    });
  }, 300_000);

  afterAll(async () => {
    await temporal?.close();
    await stack?.close();
  });

  /** Assets that nothing connects to: the action only waits. */
  async function addSimulatedHosts(count: number): Promise<void> {
    await stack.dataSource.query(
      `WITH made AS (
         INSERT INTO asset (id, space, name, kind, labels)
         SELECT gen_random_uuid(), 'default', format('sim-%s-%s', $1::integer, n), 'server', jsonb_build_object('group', 'g' || $1::integer)
         FROM generate_series(1, $1::integer) AS n RETURNING id)
       INSERT INTO endpoint (asset_id, transport, address, port, credential, host_keys, source)
       SELECT id, 'ssh', '192.0.2.1', 22, 'nobody', '{}', 'bench' FROM made`,
      [count],
    );
  }

  function accept(runbook: string, allowEmpty: boolean): Promise<string> {
    return stack.inTransaction(async (context) => {
      const { id } = await startRun(context, { space: 'default', runbook, inputs: {}, on: undefined, allowEmpty });
      return id;
    });
  }

  async function ended(id: string, worker: WorkerProcess): Promise<{ ms: number; workflowId: string }> {
    const giveUpAtMs = Date.now() + GIVE_UP_MS;
    for (;;) {
      const [row] = await stack.dataSource.query<{ ms: number | null; workflow_id: string }[]>(
        `SELECT (extract(epoch FROM ended_at - started_at) * 1000)::float8 AS ms, workflow_id FROM run WHERE id = $1`,
        [id],
      );
      if (row!.ms !== null) return { ms: row!.ms, workflowId: row!.workflow_id };
      if (Date.now() > giveUpAtMs) throw new Error(`run ${id} has not ended: ${worker.log.slice(-2000)}`);
      await sleep(POLL_MS);
    }
  }

  async function eventsOf(workflowId: string): Promise<number> {
    const { historyLength, raw } = await temporal.client.workflow.getHandle(workflowId).describe();
    // Of one execution: none of these runs grows so long that it goes on in another.
    expect(raw.workflowExecutionInfo!.firstRunId).toBe(raw.workflowExecutionInfo!.execution!.runId);
    return historyLength;
  }

  async function fettle(hosts: number): Promise<RolloutSample> {
    const environment = { ...stack.environment, NODE_OPTIONS: `--import ${path('simulated-action.mjs')}` };
    return measured(await WorkerProcess.start(environment), hosts, rollOut);
  }

  async function plain(hosts: number): Promise<RolloutSample> {
    const environment = { ...stack.environment, FETTLE_BENCH_POOL_SIZE: '20' };
    return measured(await WorkerProcess.start(environment, path('plain-worker.mjs')), hosts, rollOutPlainly);
  }

  /** The second of two rollouts by one worker, which then ends. */
  async function measured(worker: WorkerProcess, hosts: number, rolled: typeof rollOut): Promise<RolloutSample> {
    try {
      await rolled(WARM_UP_HOSTS, worker);
      const cpuBefore = await worker.cpuMs();
      const { wallMs, workflowId, acceptMs } = await rolled(hosts, worker);
      const cpuMs = (await worker.cpuMs()) - cpuBefore;
      return { wallMs, cpuMs, hosts, events: await eventsOf(workflowId), acceptMs };
    } finally {
      await worker.stop();
    }
  }

  async function rollOut(hosts: number, worker: WorkerProcess): Promise<Rollout> {
    const acceptedAtMs = Date.now();
    const id = await accept(`roll-${hosts}`, false);
    const acceptMs = Date.now() - acceptedAtMs;
    const { ms, workflowId } = await ended(id, worker);
    const failed = Math.floor(hosts / 100);
    expect(await stack.run(id)).toMatchObject({ state: 'failed', counts: { succeeded: hosts - failed, failed } });
    return { wallMs: ms, workflowId, acceptMs };
  }

  async function rollOutPlainly(hosts: number, worker: WorkerProcess): Promise<Rollout> {
    const id = await accept('plain', true);
    await stack.dataSource.query(`DELETE FROM outbox WHERE sent_at IS NULL`);
    const workflowId = `plain-${id}`;
    const failed: unknown = await temporal.client.workflow.execute('plainRollout', {
      taskQueue: temporal.taskQueue,
      workflowId,
      args: [id, hosts, AT_ONCE],
    });
    expect(failed).toBe(Math.floor(hosts / 100));
    return { wallMs: (await ended(id, worker)).ms, workflowId, acceptMs: 0 };
  }

  it('measures rollouts of growing size against one activity a host', async () => {
    const samples = new Map(SIZES.map((size) => [size, [] as RolloutSample[]]));
    const plainSamples: RolloutSample[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const all = [
        ...SIZES.map((size) => async () => void samples.get(size)!.push(await fettle(size))),
        async () => void plainSamples.push(await plain(PLAIN_HOSTS)),
      ];
      // Who comes later finds warmer caches and a larger database: the order changes each round.
      for (const one of round % 2 === 0 ? all : all.reverse()) await one();
    }
    const report = new Report(
      'rollout',
      `One step on simulated hosts that takes 50 ms and fails on each hundredth, up to ${AT_ONCE} at once, from the run's start to its
end. "One activity a host" is a workflow written by hand, with up to ${AT_ONCE} activities at once, whose activity writes *started*, the
end and both entries through the same repositories. The action is injected into the bench's workers only. Each worker is new and has rolled out ${WARM_UP_HOSTS} hosts before, which is not counted. CPU is of
the worker`,
      ['what', 'rounds', 'hosts/s', 'wall ms a host', 'CPU-ms a host', 'history events a host', 'accepted in ms'],
    );
    const of = (all: readonly RolloutSample[], value: (sample: RolloutSample) => number): number =>
      median(all.map(value));
    const add = (what: string, all: readonly RolloutSample[]): void =>
      report.row([
        what,
        String(all.length),
        of(all, (sample) => (1000 * sample.hosts) / sample.wallMs),
        of(all, (sample) => sample.wallMs / sample.hosts),
        of(all, (sample) => sample.cpuMs / sample.hosts),
        of(all, (sample) => sample.events / sample.hosts),
        of(all, (sample) => sample.acceptMs),
      ]);
    for (const size of SIZES) add(`Fettle, ${size} hosts`, samples.get(size)!);
    add(`one activity a host, ${PLAIN_HOSTS} hosts`, plainSamples);
    const [first, last] = [samples.get(SIZES[0]!)!, samples.get(SIZES.at(-1)!)!];
    const ratio = (value: (round: number) => number): string => rounded(median(first.map((_, round) => value(round))));
    report.note(
      `Round by round: Fettle's hosts/s at ${PLAIN_HOSTS} are ${ratio((round) => plainSamples[round]!.wallMs / first[round]!.wallMs)} times those of one
activity a host; a host at ${SIZES.at(-1)!} costs ${ratio((round) => (last[round]!.wallMs * first[round]!.hosts) / (first[round]!.wallMs * last[round]!.hosts))} times the time and
${ratio((round) => (last[round]!.cpuMs * first[round]!.hosts) / (first[round]!.cpuMs * last[round]!.hosts))} times the worker's CPU of one at ${SIZES[0]!}.`,
    );
    await report.write();
  }, 7_200_000);
});
