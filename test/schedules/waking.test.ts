import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { compareWaking, scheduleRecurrence } from '@fettle/calendar';
import { scheduleDocumentSchema, type ScheduleDocument } from '@fettle/contracts';
import { applyDocuments, whySchedule } from '@fettle/operations';
import {
  connectTemporal,
  readNextWakings,
  sendCommand,
  TOLD_INSTANTS,
  wakingScheduleId,
  type TemporalClient,
} from '@fettle/temporal';
import type { ScheduleHandle } from '@temporalio/client';
import { compareSchedules } from '../../apps/worker/dist/background/compare-schedules.js';
import { relayOutbox } from '../../apps/worker/dist/background/relay-outbox.js';
import { TestStack } from '../support/stack.js';
import { testTemporal } from '../support/temporal.js';
import { patiently } from '../chaos/append-runs.js';

const nextYear = new Date().getUTCFullYear() + 1;
/** The last Sunday of March, when clocks of Berlin leave 02:30 out. */
const gapDay = 31 - new Date(Date.UTC(nextYear, 2, 31)).getUTCDay();

const timings: Readonly<Record<string, string>> = {
  nightly: 'cron: "30 2 * * *", timeZone: Europe/Berlin',
  'seconds-field': 'cron: "15 */5 6-18 * * MON-FRI", timeZone: America/New_York',
  'either-day': 'cron: "0 4 13 * 5", timeZone: Europe/Berlin',
  'sunday-seven': 'cron: "0 4 * * 0,7"',
  // After its last day comes an instant at once, which is not its own any more.
  'ends-soon': `cron: "0 0 * * *", end: "${new Date(Date.now() + 3 * 86_400_000).toISOString().slice(0, 10)}"`,
  'last-day': 'cron: "0 4 L * *", timeZone: Europe/Berlin',
  'nth-weekday': 'cron: "0 4 * * 2#2", timeZone: Asia/Tokyo',
  interval: 'every: 7m, phase: 90s',
  bounded: `cron: "0 */6 * * *", start: "${nextYear}-01-01", end: "${nextYear}-12-31"`,
  jittered: 'every: 1h, jitter: 20m',
  rule: 'rrule: "FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=22;BYMINUTE=30;BYSECOND=0", timeZone: Europe/Berlin',
  once: `at: "${nextYear}-03-${gapDay}T02:30", timeZone: Europe/Berlin`,
  excluding: 'cron: "0 4 * * *", exclude: [{cron: "* * * * 0"}]',
  rolled: 'cron: "0 4 1 * *", roll: next',
  'close-books': 'monthly: {businessDay: [-1], time: "18:00"}, timeZone: Europe/Berlin',
  'lord-howe': 'cron: "15 2 * * *", timeZone: Australia/Lord_Howe',
};

describe('what Temporal is told of a schedule', () => {
  let stack: TestStack;
  let temporal: TemporalClient;
  beforeAll(async () => {
    stack = await TestStack.create();
    await stack.addRunbook('call', { steps: [{ id: 'a', uses: 'http.request', with: { url: 'http://x/' } }] });
    const { address, namespace } = testTemporal();
    temporal = connectTemporal({ address, namespace, taskQueue: stack.environment.FETTLE_TASK_QUEUE! });
  }, 60_000);
  afterAll(async () => {
    for (const id of await ids()) await (await handleOf(id)).delete().catch(() => null);
    await temporal?.close();
    await stack?.close();
  });

  async function ids(): Promise<string[]> {
    const rows: { id: string }[] = (await stack?.dataSource.query(`SELECT id FROM schedule ORDER BY name`)) ?? [];
    return rows.map((row) => row.id);
  }

  async function wakeOf(id: string): Promise<string> {
    const rows: { wake: string }[] = await stack.dataSource.query(
      `SELECT wake_id AS wake FROM schedule WHERE id = $1`,
      [id],
    );
    return rows[0]!.wake;
  }

  async function handleOf(id: string): Promise<ScheduleHandle> {
    return temporal.client.schedule.getHandle(wakingScheduleId(temporal, await wakeOf(id)));
  }

  async function apply(name: string, timing: string): Promise<string> {
    const source = `apiVersion: fettle/v1\nkind: Schedule\nmetadata: {name: ${name}}\nspec: {runbook: call, ${timing}}\n`;
    await stack.inTransaction((context) => applyDocuments(context, { source, file: 'test.yaml', dryRun: false }));
    const rows: { id: string }[] = await stack.dataSource.query(`SELECT id FROM schedule WHERE name = $1`, [name]);
    return rows[0]!.id;
  }

  async function documentOf(id: string): Promise<ScheduleDocument> {
    const rows: { parsed: unknown }[] = await stack.dataSource.query(
      `SELECT parsed FROM document_version WHERE document_id = $1 ORDER BY number DESC LIMIT 1`,
      [id],
    );
    return scheduleDocumentSchema.parse(rows[0]!.parsed);
  }

  const warnings: unknown[] = [];
  const logger = { warn: (detail: object) => void warnings.push(detail) };
  const relay = () => {
    const task = relayOutbox(temporal, logger as never);
    return patiently(async () => {
      const { afterCommit } = await stack.dataSource.transaction((transaction) => task.round(transaction));
      await afterCommit?.();
      const left: unknown[] = await stack.dataSource.query(`SELECT 1 FROM outbox WHERE sent_at IS NULL`);
      if (left.length > 0) throw new Error('there are commands left');
    });
  };
  const compare = async (): Promise<void> => {
    warnings.length = 0;
    const task = compareSchedules(stack.dataSource, temporal, logger as never);
    await stack.dataSource.query(`UPDATE schedule SET compared_at = NULL`);
    await stack.dataSource.transaction((transaction) => task.round(transaction));
  };

  it('is what the calendar says, for every kind of timing', async () => {
    for (const [name, timing] of Object.entries(timings)) await apply(name, timing);
    await relay();
    for (const id of await ids()) {
      const { metadata, spec } = await documentOf(id);
      const recurrence = scheduleRecurrence(spec, `default/${metadata.name}`);
      const wakings = await readNextWakings(temporal, await wakeOf(id));
      expect({ name: metadata.name, count: wakings?.length }).toEqual({
        name: metadata.name,
        count: metadata.name === 'once' ? 1 : metadata.name === 'ends-soon' ? expect.any(Number) : TOLD_INSTANTS,
      });
      const difference = compareWaking(recurrence, wakings ?? [], { now: new Date(), told: TOLD_INSTANTS });
      expect({ name: metadata.name, difference }).toEqual({ name: metadata.name, difference: null });
    }
    await compare();
    expect(warnings).toEqual([]);
  }, 60_000);

  it('is mended, recorded and counted where it differs', async () => {
    const [nightly, once] = [await apply('nightly', timings['nightly']!), await apply('once', timings['once']!)];
    await (await handleOf(once)).delete();
    await patiently(async () => {
      if ((await readNextWakings(temporal, await wakeOf(once))) !== null) throw new Error('it is there still');
    });
    // As an older version, or a person with Temporal's own tools, could leave it.
    const payload = { cron: '30 5 * * *', timeZone: 'Europe/Berlin' };
    await sendCommand(temporal, { kind: 'put-schedule', subject: await wakeOf(nightly), payload });
    await compare();
    expect(warnings).toHaveLength(2);
    expect(warnings).toEqual(
      expect.arrayContaining([
        { space: 'default', schedule: 'once', difference: 'Temporal did not have it' },
        {
          ...{ space: 'default', schedule: 'nightly' },
          // What Temporal has planned ends at its last instant: from 02:30 to 05:30 one fewer of the schedule's lies before it.
          difference: expect.stringMatching(
            /^Temporal would not wake it at .* and [89] more; Temporal would wake it in vain at .* and 9 more$/,
          ),
        },
      ]),
    );
    await relay();
    await compare();
    expect(warnings).toEqual([]);
    const rows: unknown = await stack.dataSource.query(
      `SELECT name, differences FROM schedule WHERE differences > 0 ORDER BY name`,
    );
    expect(rows).toEqual([
      { name: 'nightly', differences: 1 },
      { name: 'once', differences: 1 },
    ]);
    const records: unknown = await stack.dataSource.query(
      `SELECT object_name FROM audit_record WHERE action = 'schedule.mend' ORDER BY object_name`,
    );
    expect(records).toEqual([{ object_name: 'nightly' }, { object_name: 'once' }]);
  }, 60_000);

  it('is mended where somebody paused it in Temporal itself', async () => {
    const id = await apply('nightly', timings['nightly']!);
    const handle = await handleOf(id);
    await handle.pause('by hand');
    await patiently(async () => {
      if (!(await handle.describe()).state.paused) throw new Error('it is not paused yet');
    });
    await compare();
    expect(warnings).toMatchObject([{ schedule: 'nightly', difference: expect.stringContaining('would not wake it') }]);
    await relay();
    await patiently(async () => {
      if ((await handle.describe()).state.paused) throw new Error('it is paused still');
    });
    await compare();
    expect(warnings).toEqual([]);
  }, 60_000);

  it('is one entry for all that are due together, for as long as one of them is', async () => {
    const [first, second, jittered] = [
      await apply('together-1', 'cron: "10 3 * * *"'),
      await apply('together-2', 'cron: "10 3 * * *", overlap: allow'),
      await apply('apart', 'cron: "10 3 * * *", jitter: 5m'),
    ];
    const wake = await wakeOf(first);
    expect(await wakeOf(second)).toBe(wake);
    expect(await wakeOf(jittered)).not.toBe(wake);
    await relay();
    await apply('together-1', 'cron: "11 3 * * *"');
    expect(await wakeOf(first)).not.toBe(wake);
    await relay();
    expect(await readNextWakings(temporal, wake)).toHaveLength(TOLD_INSTANTS);
    await apply('together-2', 'cron: "11 3 * * *", overlap: allow');
    expect(await wakeOf(second)).toBe(await wakeOf(first));
    await relay();
    await compare();
    // Whoever changes a schedule may not have committed yet.
    expect(await readNextWakings(temporal, wake)).toHaveLength(TOLD_INSTANTS);
    await stack.dataSource.query(
      `UPDATE outbox SET sent_at = sent_at - interval '2 minutes' WHERE kind = 'put-schedule'`,
    );
    await compare();
    await relay();
    await patiently(async () => {
      if ((await readNextWakings(temporal, wake)) !== null) throw new Error('it is there still');
    });
    await compare();
    expect(warnings).toEqual([]);
    const dropped: unknown[] = await stack.dataSource.query(`SELECT 1 FROM outbox WHERE kind = 'delete-schedule'`);
    expect(dropped).toHaveLength(1);
  }, 60_000);

  it('is placed without alarm where an older version gave each schedule an entry of its own', async () => {
    const id = await apply('nightly', timings['nightly']!);
    const wake = await wakeOf(id);
    await stack.dataSource.query(`UPDATE schedule SET wake_id = NULL, differences = 0 WHERE id = $1`, [id]);
    await compare();
    expect(warnings).toEqual([]);
    expect(await wakeOf(id)).toBe(wake);
    await relay();
  }, 60_000);

  it('wakes all that are due at an instant with one workflow, and each has its run', async () => {
    const worker = await stack.startWorker();
    try {
      const at = new Date(Math.ceil((Date.now() + 20_000) / 1000) * 1000).toISOString().replace('.000', '');
      const count = 40;
      const source = Array.from(
        { length: count },
        (_, index) =>
          `apiVersion: fettle/v1\nkind: Schedule\nmetadata: {name: many-${index}}\nspec: {runbook: call, at: "${at}"}\n`,
      ).join('---\n');
      await stack.inTransaction((context) => applyDocuments(context, { source, file: 'test.yaml', dryRun: false }));
      const rows = await patiently(async () => {
        const found: { outcome: string }[] = await stack.dataSource.query(
          `SELECT f.outcome FROM fire f JOIN schedule s ON s.id = f.schedule_id WHERE s.name LIKE 'many-%' AND f.run_id IS NOT NULL`,
        );
        if (found.length < count) throw new Error(`${found.length} fires: ${worker.log.slice(-2000)}`);
        return found;
      });
      expect(rows).toHaveLength(count);
      expect(new Set(rows.map((row) => row.outcome))).toEqual(new Set(['fired']));
      const wakes: { wake_id: string }[] = await stack.dataSource.query(
        `SELECT DISTINCT wake_id FROM schedule WHERE name LIKE 'many-%'`,
      );
      expect(wakes).toHaveLength(1);
      const woken = `WorkflowId STARTS_WITH '${wakes[0]!.wake_id}' AND ExecutionStatus = 'Completed'`;
      await patiently(async () => {
        const { count: workflows } = await temporal.client.workflow.count(woken);
        if (workflows !== 1) throw new Error(`${workflows} workflows`);
      });
      const puts: unknown[] = await stack.dataSource.query(
        `SELECT o.id FROM outbox o JOIN schedule s ON s.wake_id = o.subject WHERE s.name = 'many-0' AND o.kind = 'put-schedule'`,
      );
      expect(puts).toHaveLength(1);
    } finally {
      await worker.stop();
    }
  }, 120_000);

  it('wakes a schedule that Temporal has no rule for, and is given further instants in time', async () => {
    const worker = await stack.startWorker();
    try {
      const id = await apply('rapid', 'rrule: "FREQ=SECONDLY;INTERVAL=2", overlap: allow');
      const first = await placedUntil(id);
      const rows = await patiently(async () => {
        const found: { late: number }[] = await stack.dataSource.query(
          `SELECT extract(epoch FROM settled_at - nominal_at)::float8 AS late FROM fire WHERE schedule_id = $1 AND outcome = 'fired'`,
          [id],
        );
        if (found.length < 4) throw new Error(`${found.length} fires: ${worker.log.slice(-2000)}`);
        return found;
      });
      // The reconciler looks at what is late by three seconds: Temporal came before it.
      expect(Math.min(...rows.map((row) => row.late))).toBeLessThan(3);
      // As if most of them had passed: further ones are placed, and nobody calls that a difference.
      await stack.dataSource.query(
        `UPDATE schedule SET placed_until = now() + interval '5 seconds', differences = 0 WHERE id = $1`,
        [id],
      );
      await patiently(async () => {
        const now = await placedUntil(id);
        if (now <= first) throw new Error('nothing has been placed yet');
      });
      const why = await whySchedule(stack.dataSource.manager, { space: 'default', name: 'rapid' }, {});
      expect(why.answer).toMatch(/^rapid was due at /);
    } finally {
      await worker.stop();
    }
  }, 120_000);

  async function placedUntil(id: string): Promise<Date> {
    const rows: { at: Date }[] = await stack.dataSource.query(`SELECT placed_until AS at FROM schedule WHERE id = $1`, [
      id,
    ]);
    return rows[0]!.at;
  }
});
