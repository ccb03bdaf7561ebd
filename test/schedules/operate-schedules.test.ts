// What persons and clocks do to schedules beside their instants: operations that must not lose, repeat or break anything.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { Fire } from '@fettle/contracts';
import { endRun } from '@fettle/database';
import {
  applyDocuments,
  backfillSchedule,
  getSchedule,
  pauseSchedule,
  readLedger,
  settleFire,
  triggerSchedule,
  whySchedule,
  type OperationContext,
} from '@fettle/operations';
import { settleSchedules } from '../../apps/worker/dist/background/settle-schedules.js';
import { TestStack } from '../support/stack.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** Without a worker, so that runs go on until the test ends them. */
describe('what is done to schedules', () => {
  let stack: TestStack;
  beforeAll(async () => {
    stack = await TestStack.create();
    await stack.addRunbook('call', { steps: [{ id: 'a', uses: 'http.request', with: { url: 'http://x/' } }] });
  }, 60_000);
  afterAll(() => stack?.close());

  const key = (name: string) => ({ space: 'default', name });
  async function apply(name: string, spec: string): Promise<string> {
    const source = `apiVersion: fettle/v1\nkind: Schedule\nmetadata: {name: ${name}}\nspec: {runbook: call, ${spec}}\n`;
    await stack.inTransaction((context) => applyDocuments(context, { source, file: 'test.yaml', dryRun: false }));
    const rows: { id: string }[] = await stack.dataSource.query(`SELECT id FROM schedule WHERE name = $1`, [name]);
    return rows[0]!.id;
  }
  const settledTo = (id: string, at: Date): Promise<unknown> =>
    stack.dataSource.query(`UPDATE schedule SET watermark = $2, counted_from = $2 WHERE id = $1`, [id, at]);
  const settle = (id: string, now?: Date) =>
    stack.dataSource.transaction((transaction) => settleFire(transaction, id, now));
  const show = (name: string) => getSchedule(stack.dataSource.manager, key(name));
  const ledger = (name: string) => readLedger(stack.dataSource.manager, key(name), { limit: 100 });
  const text = ({ source, outcome, code, instants }: Fire): string =>
    `${source} ${outcome} ${code}${instants === 1 ? '' : ` x${instants}`}`.replace('  ', ' ').trim();
  const fires = async (name: string): Promise<string[]> => (await ledger(name)).items.reverse().map(text);
  const why = (name: string, at: Date) =>
    whySchedule(stack.dataSource.manager, key(name), { at: at.toISOString() }).then(({ answer }) => answer);
  const trigger = (name: string, options = {}, from: Partial<OperationContext> = {}) =>
    stack.inTransaction((context) => triggerSchedule({ ...context, ...from }, key(name), options));
  async function endOpenRuns(id: string, state: 'succeeded' | 'failed'): Promise<void> {
    const rows: { id: string }[] = await stack.dataSource.query(
      `SELECT id FROM run WHERE schedule_id = $1 AND ended_at IS NULL`,
      [id],
    );
    for (const row of rows)
      await stack.dataSource.transaction((transaction) => endRun(transaction, row.id, state, null));
  }

  it('fills in nothing that is only not settled yet, and no instant twice', async () => {
    const hour = new Date(Math.floor(Date.now() / HOUR_MS) * HOUR_MS);
    const id = await apply('fill', 'cron: "0 * * * *", catchUp: 30d, overlap: allow');
    await settledTo(id, new Date(hour.getTime() - 3 * HOUR_MS));
    const request = { to: new Date().toISOString(), reason: 'nobody was there', dryRun: false };
    const from = new Date(hour.getTime() - 2 * HOUR_MS).toISOString();
    const filled = await stack.inTransaction((context) => backfillSchedule(context, key('fill'), { ...request, from }));
    expect(filled).toMatchObject({ queued: { length: 2 }, alreadyRan: 1 });
    const runs: unknown = await stack.dataSource.query(
      `SELECT count(*)::integer AS runs, count(DISTINCT fire_at)::integer AS instants FROM run WHERE schedule_id = $1`,
      [id],
    );
    expect(runs).toEqual([{ runs: 3, instants: 3 }]);
    expect((await ledger('fill')).check).toMatchObject({ instants: 3, isSound: true });
  });

  it('lets nobody end the runs of others, nor fill the queue, whose own run would be refused', async () => {
    const narrowed = {
      scopeOf: (permission: string) => (permission === 'run:start' ? ['asset.name == "his"'] : null),
    } as Pick<OperationContext, 'scopeOf'>;
    for (const overlap of ['cancel-other', 'queue-all']) {
      await apply(overlap, `cron: "0 0 1 1 *", overlap: ${overlap}`);
      await trigger(overlap);
      await expect(trigger(overlap, {}, narrowed)).rejects.toMatchObject({ code: 'denied' });
      expect(await show(overlap)).toMatchObject({ waiting: 0 });
    }
    const runs: unknown = await stack.dataSource.query(
      `SELECT DISTINCT r.state FROM run r JOIN schedule s ON s.id = r.schedule_id WHERE s.name IN ('cancel-other', 'queue-all')`,
    );
    expect(runs).toEqual([{ state: 'queued' }]);
  });

  it('lets the newest of several triggers stand for those that wait for the same end', async () => {
    const id = await apply('newest', 'cron: "0 0 1 1 *", overlap: cancel-other');
    await trigger('newest');
    // Taken up by a worker, so that to cancel it only asks for its end.
    await stack.dataSource.query(`UPDATE run SET state = 'running', started_at = now() WHERE schedule_id = $1`, [id]);
    for (let index = 0; index < 3; index += 1) await trigger('newest');
    expect(await fires('newest')).toEqual([
      'trigger fired',
      'trigger skipped superseded',
      'trigger skipped superseded',
      'trigger queued overlap',
    ]);
    await endOpenRuns(id, 'succeeded');
    await settle(id);
    await settle(id);
    const runs: unknown = await stack.dataSource.query(
      `SELECT state, cancel_requested_at IS NOT NULL AS cancelled FROM run WHERE schedule_id = $1 ORDER BY id`,
      [id],
    );
    expect(runs).toEqual([
      { state: 'succeeded', cancelled: true },
      { state: 'queued', cancelled: false },
    ]);
  });

  it('refuses a pause with an end that cannot be reckoned, and settles what has one already', async () => {
    const id = await apply('long-pause', 'cron: "0 * * * *"');
    const pause = (until: string) =>
      stack.inTransaction((context) => pauseSchedule(context, key('long-pause'), { reason: 'r', until }));
    await expect(pause('9999-12-31T00:00:00Z')).rejects.toMatchObject({ code: 'invalid-request' });
    await pause('2299-12-31T00:00:00Z');
    await stack.dataSource.query(`UPDATE schedule SET paused_until = '9999-12-31' WHERE id = $1`, [id]);
    await settledTo(id, new Date(Date.now() - 2 * HOUR_MS));
    await stack.dataSource.query(`UPDATE schedule SET paused_at = watermark WHERE id = $1`, [id]);
    await settle(id);
    expect(await fires('long-pause')).toEqual(['nominal skipped paused x2']);
    expect((await show('long-pause')).quarantineReason).toBeNull();
  });

  it('says that it is paused, by whom, why and until when, to whoever asks why', async () => {
    await apply('resting', 'cron: "0 3 * * *"');
    const until = new Date(Date.now() + 3 * 24 * HOUR_MS);
    await stack.inTransaction((context) =>
      pauseSchedule(context, key('resting'), { reason: 'new racks', until: until.toISOString() }),
    );
    const paused = ` It is paused by tester (new racks) until ${until.toISOString()}, and what is due before that is skipped.`;
    const now = await whySchedule(stack.dataSource.manager, key('resting'), {});
    expect(now.answer).toMatch(/^resting has not been due yet; the next instant is .*\./);
    expect(now.answer.endsWith(paused)).toBe(true);
    const three = new Date(Date.now() + 24 * HOUR_MS);
    three.setUTCHours(3, 0, 0, 0);
    expect((await why('resting', three)).endsWith(`which has not been settled yet.${paused}`)).toBe(true);
    const after = new Date(three.getTime() + 5 * 24 * HOUR_MS);
    expect((await why('resting', after)).endsWith('which has not been settled yet.')).toBe(true);
  });

  it('judges a quarantined schedule anew when it is applied again, and starts nothing of it before', async () => {
    const id = await apply('aside', 'cron: "0 * * * *"');
    const putAside = () => stack.dataSource.query(`UPDATE schedule SET quarantine_reason = 'x' WHERE id = $1`, [id]);
    await putAside();
    await expect(trigger('aside')).rejects.toMatchObject({ code: 'conflict' });
    await expect(trigger('aside', { override: { reason: 'r' } })).rejects.toMatchObject({ code: 'conflict' });
    await apply('aside', 'cron: "0 * * * *"');
    expect(await show('aside')).toMatchObject({ quarantineReason: null, nextFires: { length: 5 } });
    await putAside();
    await apply('aside', 'cron: "0 * * * *", catchUp: 5m');
    expect((await show('aside')).quarantineReason).toBeNull();
    const never = 'cron: "0 0 1 1 *", start: "2030-01-02", end: "2030-01-03"';
    await apply('never', never);
    await apply('never', never);
    expect((await show('never')).quarantineReason).toContain('never due');
  });

  it('is settled by the clock of the database, whatever that of a worker says', async () => {
    const id = await apply('clock', 'cron: "0 * * * *"');
    await settledTo(id, new Date(Date.now() - 2 * HOUR_MS));
    await stack.dataSource.query(`UPDATE schedule SET next_at = watermark WHERE id = $1`, [id]);
    const task = settleSchedules(stack.dataSource, { warn: () => undefined } as never);
    jest.useFakeTimers({
      now: Date.now() + 30 * 24 * HOUR_MS,
      doNotFake: [
        'setTimeout',
        'clearTimeout',
        'setInterval',
        'clearInterval',
        'setImmediate',
        'clearImmediate',
      ].concat(['nextTick', 'queueMicrotask', 'performance', 'hrtime']) as never,
    });
    try {
      await stack.dataSource.transaction((transaction) => task.round(transaction));
    } finally {
      jest.useRealTimers();
    }
    expect((await ledger('clock')).check).toMatchObject({ instants: 2, isSound: true });
    const { watermark } = await ledger('clock');
    expect(Date.parse(watermark)).toBeLessThanOrEqual(Date.now());
  });

  it('counts on from where it was settled when it is due otherwise, so that no instant falls between', async () => {
    const id = await apply('between', 'every: 1d');
    // As if the apply took two seconds more after what was due had been settled.
    await stack.dataSource.query(
      `CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(2.2); RETURN new; END'`,
    );
    await stack.dataSource.query(
      `CREATE TRIGGER dawdle BEFORE INSERT ON document_version FOR EACH ROW EXECUTE FUNCTION dawdle()`,
    );
    await apply('between', 'every: 1s, overlap: allow, missed: all');
    const appliedAtMs = Date.now();
    await stack.dataSource.query(`DROP FUNCTION dawdle CASCADE`);
    await settle(id);
    const { check, items, countedFrom } = await ledger('between');
    expect(Date.parse(countedFrom ?? '')).toBeLessThan(appliedAtMs - 2_000);
    expect(items.length).toBeGreaterThanOrEqual(2);
    expect(check?.isSound).toBe(true);
  });

  it('keeps its ledger sound where it becomes due otherwise during a pause', async () => {
    const id = await apply('moved', 'cron: "0 * * * *"');
    const now = Date.now();
    await settledTo(id, new Date(now - 3 * HOUR_MS));
    await stack.dataSource.query(`UPDATE schedule SET paused_at = watermark, paused_by = 'x' WHERE id = $1`, [id]);
    await settle(id);
    await apply('moved', 'cron: "*/10 * * * *"');
    await settle(id, new Date(now + HOUR_MS));
    expect(await fires('moved')).toEqual(['nominal skipped paused x3', expect.stringMatching(/paused x[67]$/)]);
    expect((await ledger('moved')).check?.isSound).toBe(true);
  });

  it('pauses for a failure also where a timed pause was in the way of it', async () => {
    const id = await apply('fragile', 'cron: "0 * * * *", pauseOnFailure: true');
    await trigger('fragile');
    await stack.inTransaction((context) =>
      pauseSchedule(context, key('fragile'), {
        ...{ reason: 'moving house', until: new Date(Date.now() + HOUR_MS).toISOString() },
      }),
    );
    await endOpenRuns(id, 'failed');
    await settle(id);
    expect((await show('fragile')).paused).toMatchObject({ by: 'tester' });
    const after = new Date(Date.now() + 3 * HOUR_MS);
    await settle(id, after);
    const { paused } = await show('fragile');
    expect(paused).toMatchObject({ by: 'system', reason: expect.stringMatching(/ failed$/), until: null });
    expect((await fires('fragile')).at(-1)).toMatch(/^nominal skipped paused/);
  });

  it('explains a moment by its own row, or the stretch that it is an instant of', async () => {
    const id = await apply('told', 'cron: "0 * * * *"');
    const hour = Math.floor(Date.now() / HOUR_MS) * HOUR_MS;
    const at = (hours: number, minutes = 0): Date => new Date(hour - hours * HOUR_MS + minutes * MINUTE_MS);
    await settledTo(id, at(5, 1));
    await stack.dataSource.query(`UPDATE schedule SET paused_at = watermark, paused_by = 'x' WHERE id = $1`, [id]);
    await settle(id, at(0, 1));
    await stack.dataSource.query(
      `INSERT INTO fire (schedule_id, nominal_at, source, outcome, code, reason, instants, settled_at)
       VALUES ($1, $2, 'trigger', 'refused', 'x', 'x', 1, now())`,
      [id, at(3, 30)],
    );
    expect(await why('told', at(3, 30))).toMatch(/^told was triggered at /);
    expect(await why('told', at(3, 0))).toMatch(/^told was due at .* skipped: the schedule was paused/);
    expect(await why('told', at(2, 0))).toMatch(/^told was due at .* skipped: the schedule was paused/);
    expect(await why('told', at(2, 30))).toMatch(/ is no instant of told; /);
  });
});
