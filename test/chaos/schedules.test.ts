import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { nextInstants, parseCron } from '@fettle/calendar';
import { applyDocuments, getSchedule, pauseSchedule, resumeSchedule } from '@fettle/operations';
import { connectTemporal, wakingScheduleId } from '@fettle/temporal';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';
import { testTemporal } from '../support/temporal.js';
import { patiently } from './append-runs.js';

const CRON = '*/4 * * * * *';
const NAME = 'every-four-seconds';
const FIRES = `SELECT nominal_at AS "nominalAt", instants, coalesce(last_nominal_at, nominal_at) AS "lastNominalAt", outcome, reason,
  run_id AS "runId", settled_at AS "settledAt" FROM fire ORDER BY nominal_at`;
const key = { space: 'default', name: NAME };

interface Fire {
  readonly nominalAt: Date;
  /** It stands for so many instants in a row. */
  readonly instants: number;
  readonly lastNominalAt: Date;
  readonly outcome: string;
  readonly reason: string;
  readonly runId: string | null;
  readonly settledAt: Date;
}

describe('a schedule that fires every four seconds', () => {
  let stack: TestStack;
  let sshd: Sshd;
  let worker: WorkerProcess;
  let firstWatermark: Date;

  beforeAll(async () => {
    [stack, sshd] = await Promise.all([TestStack.create(), startSshd()]);
    await stack.addHosts(sshd, 1);
    worker = await stack.startWorker();
    await apply('10m');
    firstWatermark = await watermark();
  }, 120_000);

  afterAll(async () => {
    // The server outlives this file: without its schedule there, it would start workflows for ever.
    const { address, namespace } = testTemporal();
    const temporal = connectTemporal({ address, namespace, taskQueue: stack.environment.FETTLE_TASK_QUEUE! });
    const rows: { wake: string }[] =
      (await stack?.dataSource.query(`SELECT DISTINCT wake_id AS wake FROM schedule`)) ?? [];
    for (const { wake } of rows) await temporal.client.schedule.getHandle(wakingScheduleId(temporal, wake)).delete();
    await temporal.close();
    await worker?.stop();
    await sshd?.stop();
    await stack?.close();
  }, 60_000);

  async function apply(catchUp: string): Promise<void> {
    const source = [
      'apiVersion: fettle/v1',
      'kind: Runbook',
      'metadata: {name: hello}',
      'spec: {targets: "asset.kind == \\"server\\"", steps: [{id: say, uses: ssh.run, with: {argv: [echo, hello]}}]}',
      '---',
      'apiVersion: fettle/v1',
      'kind: Schedule',
      `metadata: {name: ${NAME}}`,
      `spec: {runbook: hello, cron: "${CRON}", timeZone: Europe/Berlin, catchUp: ${catchUp}, overlap: allow}`,
      '',
    ].join('\n');
    await stack.inTransaction((context) => applyDocuments(context, { source, file: 'test.yaml', dryRun: false }));
  }

  async function watermark(): Promise<Date> {
    const rows: { watermark: Date }[] = await stack.dataSource.query(`SELECT watermark FROM schedule WHERE name = $1`, [
      NAME,
    ]);
    return rows[0]!.watermark;
  }

  function fires(): Promise<Fire[]> {
    return stack.dataSource.query(FIRES);
  }

  async function untilFires(count: number, since: Date): Promise<Fire[]> {
    return patiently(async () => {
      const rows = (await fires()).filter((fire) => fire.nominalAt > since);
      const instants = rows.reduce((sum, fire) => sum + fire.instants, 0);
      if (instants < count) throw new Error(`${instants} of ${count} instants: ${worker.log.slice(-2000)}`);
      return rows;
    });
  }

  /** Every nominal instant up to the watermark has exactly one row, and each row that started something names its own run. */
  async function checkLedger(): Promise<Fire[]> {
    const [end, rows] = await stack.dataSource.transaction('REPEATABLE READ', async (transaction) => {
      const found: { watermark: Date }[] = await transaction.query(`SELECT watermark FROM schedule WHERE name = $1`, [
        NAME,
      ]);
      const all: Fire[] = await transaction.query(FIRES);
      return [found[0]!.watermark, all] as const;
    });
    const recurrence = { cron: parseCron(CRON), timeZone: 'Europe/Berlin' };
    const left = nextInstants({ ...recurrence, after: firstWatermark, count: 1000 })
      .map(({ at }) => new Date(at).toISOString())
      .filter((at) => at <= end.toISOString());
    for (const row of rows) {
      const own = left.splice(0, row.instants);
      expect([own[0], own.at(-1)]).toEqual([row.nominalAt.toISOString(), row.lastNominalAt.toISOString()]);
    }
    expect(left).toEqual([]);
    const started = rows.filter((row) => row.outcome === 'fired' || row.outcome === 'caught-up');
    for (const row of rows) expect(row.runId !== null).toBe(started.includes(row));
    expect(new Set(started.map((row) => row.runId)).size).toBe(started.length);
    const runs: { id: string; at: Date }[] = await stack.dataSource.query(
      `SELECT id, fire_at AS at FROM run WHERE schedule_id IS NOT NULL`,
    );
    const byId = new Map(runs.map((run) => [run.id, run.at.toISOString()]));
    for (const row of started) expect(byId.get(row.runId!)).toBe(row.nominalAt.toISOString());
    return rows;
  }

  it('is woken by Temporal at each instant, with one run for each', async () => {
    const rows = await untilFires(3, firstWatermark);
    for (const fire of rows.slice(0, 3)) {
      expect(fire).toMatchObject({ outcome: 'fired', reason: 'due' });
      expect((await stack.ended(fire.runId!)).state).toBe('succeeded');
    }
    const lateness = rows.map((fire) => fire.settledAt.getTime() - fire.nominalAt.getTime());
    process.stderr.write(`settled ${lateness.map(Math.round).join(', ')} ms after the instant\n`);
    // The reconciler only looks at what is late by three seconds: Temporal's own wake-ups came first.
    expect(Math.min(...lateness)).toBeLessThan(3000);
    await checkLedger();
  }, 120_000);

  it('skips what falls into a pause, and catches none of it up after', async () => {
    await stack.inTransaction((context) => pauseSchedule(context, key, { reason: 'a test' }));
    const pausedAt = (await getSchedule(stack.dataSource.manager, key)).paused?.since ?? new Date().toISOString();
    await untilFires(2, new Date(pausedAt));
    await stack.inTransaction((context) => resumeSchedule(context, key));
    const resumedAt = await watermark();
    const during = (await checkLedger()).filter(
      (fire) => fire.nominalAt > new Date(pausedAt) && fire.nominalAt <= resumedAt,
    );
    expect(during.reduce((sum, fire) => sum + fire.instants, 0)).toBeGreaterThanOrEqual(2);
    for (const fire of during) expect(fire).toMatchObject({ outcome: 'skipped', reason: 'the schedule was paused' });
    const [after] = await untilFires(1, resumedAt);
    expect(after!.outcome).toBe('fired');
  }, 120_000);

  it('makes up once for an outage of the worker, and says so of each instant', async () => {
    await worker.stop();
    const downAt = await watermark();
    await sleep(13_000);
    worker = await stack.startWorker();
    const rows = await untilFires(4, downAt);
    const lastStarted = rows.findIndex((fire) => fire.runId !== null);
    expect(lastStarted).toBe(1);
    expect(rows[0]).toMatchObject({ outcome: 'missed', reason: 'a later instant stands for it' });
    expect(rows[0]!.instants).toBeGreaterThanOrEqual(2);
    process.stderr.write(`after the outage: ${rows.map((fire) => fire.outcome).join(', ')}\n`);
    await checkLedger();
  }, 120_000);

  it('records what is beyond the catch-up limit as missed, with the reason', async () => {
    await apply('2s');
    await worker.stop();
    const downAt = await watermark();
    await sleep(9_000);
    worker = await stack.startWorker();
    const rows = await untilFires(2, downAt);
    expect(rows[0]).toMatchObject({ outcome: 'missed', reason: 'nobody could start it within the catch-up limit' });
    await checkLedger();
  }, 120_000);
});
