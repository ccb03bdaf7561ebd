import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { nextInstants, scheduleRecurrence } from '@fettle/calendar';
import { scheduleDocumentSchema, type Ledger } from '@fettle/contracts';
import { applyDocuments, readLedger, pauseSchedule, type OperationContext } from '@fettle/operations';
import { migrateDatabase } from '../support/migrate.js';
import { figure } from '../support/figures.js';
import { startPostgres, type ScratchPostgres } from '../support/postgres.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';
import { startTemporal, type ScratchTemporal } from '../support/temporal.js';
import { patiently, seededRandom } from '../chaos/append-runs.js';

const long = process.env.FETTLE_LONG === '1';
const SCHEDULES = long ? 50 : 5;
const OUTAGES = long ? 20 : 3;

const overlaps = ['skip', 'queue-one', 'queue-all', 'cancel-other', 'allow'];
/** The last two have no rule that Temporal knows. */
const timings = long
  ? [
      'cron: "*/20 * * * * *"',
      'every: 31s',
      'cron: "7/30 * * * * *"',
      'every: 32s, jitter: 9s',
      'rrule: "FREQ=SECONDLY;INTERVAL=37"',
    ]
  : [
      'cron: "*/5 * * * * *"',
      'every: 7s',
      'cron: "*/9 * * * * *"',
      'every: 8s, jitter: 3s',
      'rrule: "FREQ=SECONDLY;INTERVAL=11"',
    ];
type Victim = 'worker' | 'temporal' | 'postgres' | 'all';

describe(`${SCHEDULES} schedules through ${OUTAGES} outages of worker, Temporal, Postgres and all of them`, () => {
  let postgres: ScratchPostgres;
  let temporal: ScratchTemporal;
  let stack: TestStack;
  let worker: WorkerProcess;
  const random = seededRandom();

  beforeAll(async () => {
    [postgres, temporal] = await Promise.all([startPostgres({ durable: true }), startTemporal({ durable: true })]);
    await postgres.ensureDatabase('fettle');
    migrateDatabase(postgres.url('fettle'));
    stack = await TestStack.create({ databaseUrl: postgres.url('fettle'), temporalAddress: temporal.address });
    await stack.addRunbook('short', { steps: [{ id: 'a', wait: { duration: '100ms' } }] });
    await stack.addRunbook('long', { steps: [{ id: 'a', wait: { duration: '9s' } }] });
    worker = await stack.startWorker();
    const documents = Array.from({ length: SCHEDULES }, (_, index) => {
      const missed = ['last', 'all', 'none'][index % 3];
      const spec = `runbook: ${index % 4 === 3 ? 'long' : 'short'}, ${timings[index % timings.length]}, overlap: ${overlaps[index % overlaps.length]}, missed: ${missed}, catchUp: ${index % 2 === 0 ? '20s' : '2s'}`;
      return `apiVersion: fettle/v1\nkind: Schedule\nmetadata: {name: s${index}}\nspec: {${spec}}\n`;
    });
    await stack.inTransaction((context) =>
      applyDocuments(context, { source: documents.join('---\n'), file: 'test.yaml' }),
    );
  }, 180_000);

  afterAll(async () => {
    await worker?.stop();
    await stack?.close();
    await temporal?.close();
    await postgres?.close();
  }, 60_000);

  async function outage(victim: Victim, lengthMs: number): Promise<void> {
    const has = (one: Victim): boolean => victim === one || victim === 'all';
    if (has('worker')) await worker.stop('SIGKILL');
    if (has('temporal')) await temporal.kill();
    if (has('postgres')) await postgres.kill();
    await sleep(lengthMs);
    if (has('postgres')) await postgres.start();
    if (has('temporal')) await temporal.start();
    // What the supervisor of `fettle up` does, where a server's loss took the worker along.
    if (!worker.isRunning) worker = await patiently(() => stack.startWorker());
  }

  const inTransaction = <Result>(work: (context: OperationContext) => Promise<Result>): Promise<Result> =>
    patiently(() => stack.inTransaction(work));

  async function ledgerOf(name: string): Promise<Ledger> {
    const items: Ledger['items'] = [];
    for (let after: string | undefined; ;) {
      const page = await stack.dataSource.transaction('REPEATABLE READ', (transaction) =>
        readLedger(transaction, { space: 'default', name }, { limit: 1000, ...(after === undefined ? {} : { after }) }),
      );
      items.push(...page.items);
      if (page.next === null) return { ...page, items: items.reverse() };
      after = page.next;
    }
  }

  /** Nothing is late any more, and nothing waits for something that has ended. */
  async function untilSettled(): Promise<void> {
    await patiently(async () => {
      const late: { name: string }[] = await stack.dataSource.query(
        `SELECT name FROM schedule WHERE paused_at IS NULL OR waiting > 0 OR next_at < clock_timestamp() - interval '12 seconds'`,
      );
      if (late.length > 0)
        throw new Error(`not settled: ${late.map((row) => row.name).join(', ')}: ${worker.log.slice(-2000)}`);
      const open: { state: string; runs: number }[] = await stack.dataSource.query(
        `SELECT state, count(*)::integer AS runs FROM run WHERE ended_at IS NULL GROUP BY state`,
      );
      if (open.length > 0) throw new Error(`runs are open: ${JSON.stringify(open)}: ${worker.log.slice(-2000)}`);
    }, 600_000);
  }

  it('gives each instant one run or one recorded reason', async () => {
    const victims: readonly Victim[] = long
      ? ['worker', 'temporal', 'postgres', 'all']
      : ['worker', 'postgres', 'temporal'];
    for (let index = 0; index < OUTAGES; index += 1) {
      await sleep((long ? 10_000 : 3_000) + random() * 5_000);
      await outage(victims[index % victims.length]!, 500 + random() * 12_000);
    }
    await sleep(8_000);
    // Each comes to rest: what is due from here on is skipped, what waited ends.
    for (let index = 0; index < SCHEDULES; index += 1)
      await inTransaction((context) =>
        pauseSchedule(context, { space: 'default', name: `s${index}` }, { reason: 'end of the test' }),
      );
    await untilSettled();
    const sums: Record<string, number> = {};
    let [instants, started] = [0, 0];
    for (let index = 0; index < SCHEDULES; index += 1) {
      const name = `s${index}`;
      const ledger = await ledgerOf(name);
      expect({ name, check: ledger.check }).toMatchObject({ check: { isSound: true } });
      const rows = ledger.items.filter((row) => row.source === 'nominal');
      // One by one, by the calendar: each instant in one row.
      const left = await expectedOf(name, ledger);
      for (const row of rows) {
        const own = left.splice(0, row.instants);
        expect({ name, own: [own[0], own.at(-1)] }).toEqual({ name, own: [row.nominalAt, row.lastNominalAt] });
        expect({ name, row, hasRun: row.runId !== null }).toMatchObject({
          hasRun: row.outcome === 'fired' || row.outcome === 'caught-up',
        });
        expect(row.reason).not.toBe('');
        sums[`${row.outcome} ${row.code}`.trim()] = (sums[`${row.outcome} ${row.code}`.trim()] ?? 0) + row.instants;
      }
      expect({ name, left }).toEqual({ name, left: [] });
      const runIds = rows.flatMap((row) => row.runId ?? []);
      const runs: { id: string; at: Date }[] = await stack.dataSource.query(
        `SELECT r.id, r.fire_at AS at FROM run r JOIN schedule s ON s.id = r.schedule_id WHERE s.name = $1 ORDER BY r.fire_at`,
        [name],
      );
      // Each run belongs to one row, and no instant has two.
      expect(runs.map((run) => run.id).sort()).toEqual([...runIds].sort());
      expect(new Set(runs.map((run) => run.at.getTime())).size).toBe(runs.length);
      instants += ledger.check?.instants ?? 0;
      started += runs.length;
    }
    const open: unknown[] = await stack.dataSource.query(`SELECT id FROM run WHERE ended_at IS NULL`);
    expect(open).toEqual([]);
    expect(sums.fired).toBeGreaterThan(0);
    figure(
      `${SCHEDULES} schedules, ${OUTAGES} outages: ${instants} instants, ${started} runs, none twice, none without a row; ${JSON.stringify(sums)}`,
    );
  }, 1_800_000);

  async function expectedOf(name: string, { countedFrom, watermark }: Ledger): Promise<string[]> {
    const rows: { parsed: unknown }[] = await stack.dataSource.query(
      `SELECT v.parsed FROM document d JOIN document_version v ON v.id = d.current_version_id WHERE d.kind = 'Schedule' AND d.name = $1`,
      [name],
    );
    const { spec } = scheduleDocumentSchema.parse(rows[0]!.parsed);
    const recurrence = scheduleRecurrence(spec, `default/${name}`);
    return nextInstants({ ...recurrence, after: countedFrom ?? '', count: 5000 })
      .map(({ at }) => new Date(at).toISOString())
      .filter((at) => at <= watermark);
  }
});
