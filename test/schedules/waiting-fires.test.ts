import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { CalendarGate } from '@fettle/calendar';
import type { Fire } from '@fettle/contracts';
import { endRun, listDueSchedules } from '@fettle/database';
import {
  applyDocuments,
  backfillSchedule,
  getSchedule,
  pauseSchedule,
  readLedger,
  resumeRun,
  retryRun,
  settleFire,
  triggerSchedule,
  whySchedule,
} from '@fettle/operations';
import { TestStack } from '../support/stack.js';

const MINUTE_MS = 60_000;

/** Without a worker, so that runs go on until the test ends them. */
describe('fires that wait, end and are explained', () => {
  let stack: TestStack;
  beforeAll(async () => {
    stack = await TestStack.create();
    await stack.addRunbook('call', { steps: [{ id: 'a', uses: 'http.request', with: { url: 'http://x/' } }] });
  }, 60_000);
  afterAll(() => stack?.close());

  /** Hourly, counted from the full hour before the last, so that its last instant was at the full hour. */
  async function schedule(name: string, spec = '', cron = '0 * * * *'): Promise<string> {
    const source = [
      'apiVersion: fettle/v1',
      'kind: Schedule',
      `metadata: {name: ${name}}`,
      `spec: {runbook: call, cron: "${cron}"${spec === '' ? '' : `, ${spec}`}}`,
      '',
    ].join('\n');
    await stack.inTransaction((context) => applyDocuments(context, { source, file: 'test.yaml', dryRun: false }));
    const rows: { id: string }[] = await stack.dataSource.query(`SELECT id FROM schedule WHERE name = $1`, [name]);
    return rows[0]!.id;
  }

  const t0 = Date.UTC(2020, 0, 1);
  /** Time of the test: minutes after midnight. */
  const at = (minutes: number): Date => new Date(t0 + minutes * MINUTE_MS);
  const key = (name: string) => ({ space: 'default', name });
  const since = (id: string): Promise<unknown> =>
    stack.dataSource.query(
      `UPDATE schedule SET watermark = $2, counted_from = $2, failures_from = failures_from - interval '10 years' WHERE id = $1`,
      [id, at(0)],
    );
  const settle = (id: string, minutes: number, gate?: CalendarGate) =>
    stack.dataSource.transaction((transaction) =>
      settleFire(transaction, id, at(minutes), ...(gate === undefined ? [] : [() => Promise.resolve(gate)])),
    );
  async function fires(name: string): Promise<string[]> {
    const { items } = await readLedger(stack.dataSource.manager, key(name), { limit: 100 });
    const text = (fire: Fire): string =>
      [fire.nominalAt.slice(11, 16), fire.source === 'nominal' ? '' : fire.source, fire.outcome, fire.code]
        .filter((part) => part !== '')
        .join(' ') + (fire.instants === 1 ? '' : ` x${fire.instants}`);
    return items.reverse().map(text);
  }
  async function endOpenRuns(id: string, state: 'succeeded' | 'failed', endedAt: Date): Promise<void> {
    const rows: { id: string }[] = await stack.dataSource.query(
      `SELECT id FROM run WHERE schedule_id = $1 AND ended_at IS NULL`,
      [id],
    );
    for (const row of rows) {
      await stack.dataSource.transaction((transaction) => endRun(transaction, row.id, state, null));
      await stack.dataSource.query(`UPDATE run SET ended_at = $2 WHERE id = $1`, [row.id, endedAt]);
    }
  }
  const due = (): Promise<string[]> => listDueSchedules(stack.dataSource.manager, 3000, [], 100);
  const check = async (name: string) => (await readLedger(stack.dataSource.manager, key(name), { limit: 1 })).check;

  it('queues one behind a run, is found when that has ended, and starts it', async () => {
    const id = await schedule('one', 'overlap: queue-one');
    await since(id);
    await settle(id, 60);
    await settle(id, 120);
    await settle(id, 180);
    expect(await fires('one')).toEqual(['01:00 fired', '02:00 queued overlap', '03:00 skipped queue-full']);
    expect((await getSchedule(stack.dataSource.manager, key('one'))).waiting).toBe(1);
    await stack.dataSource.query(`UPDATE schedule SET next_at = NULL WHERE id = $1`, [id]);
    expect(await due()).not.toContain(id);
    await endOpenRuns(id, 'succeeded', at(185));
    expect(await due()).toContain(id);
    await settle(id, 186);
    expect(await fires('one')).toEqual(['01:00 fired', '02:00 fired', '03:00 skipped queue-full']);
    expect(await check('one')).toEqual({ instants: 3, outcomes: { fired: 2, skipped: 1 }, isSound: true });
    const why = await whySchedule(stack.dataSource.manager, key('one'), { at: at(120).toISOString() });
    expect(why.answer).toMatch(
      /^one was due at 2020-01-01T02:00:00Z and started run [\w-]+ \d+ s later after it had been queued \(due, and the run before it had ended\); the run is queued now\.$/,
    );
    const skipped = await whySchedule(stack.dataSource.manager, key('one'), { at: at(180).toISOString() });
    expect(skipped.answer).toMatch(
      /^one was due at .* and was skipped: as many fires as may were waiting already \(run [\w-]+\)\.$/,
    );
    const none = await whySchedule(stack.dataSource.manager, key('one'), { at: at(150).toISOString() });
    expect(none.answer).toBe(
      '2020-01-01T02:30:00.000Z is no instant of one; the instant before was 2020-01-01T02:00:00Z, and the next instant is 2020-01-01T03:00:00Z.',
    );
  });

  it('cancels the other, with a record, and starts when that has ended', async () => {
    const id = await schedule('other', 'overlap: cancel-other');
    await since(id);
    await settle(id, 60);
    // A run that nobody has taken up ends at once when it is cancelled.
    await settle(id, 120);
    expect(await fires('other')).toEqual(['01:00 fired', '02:00 queued overlap']);
    const runs: unknown = await stack.dataSource.query(`SELECT state, cancel_reason FROM run WHERE schedule_id = $1`, [
      id,
    ]);
    expect(runs).toEqual([{ state: 'cancelled', cancel_reason: 'schedule other is due again' }]);
    await stack.dataSource.query(`UPDATE run SET ended_at = $2 WHERE schedule_id = $1`, [id, at(120)]);
    await settle(id, 121);
    expect(await fires('other')).toEqual(['01:00 fired', '02:00 fired']);
  });

  it('defers while a calendar is closed, and starts at the opening', async () => {
    const id = await schedule('closed', 'whenClosed: defer');
    await since(id);
    const shut =
      (opensMinutes: number): CalendarGate =>
      () => ({
        ...{ isOpen: false, reason: 'freeze', calendar: 'year-end', nextOpenMs: at(opensMinutes).getTime() },
      });
    await settle(id, 60, shut(300));
    await settle(id, 120, shut(300));
    expect(await fires('closed')).toEqual(['01:00 skipped superseded', '02:00 deferred freeze']);
    const row: unknown = await stack.dataSource.query(`SELECT attend_at, waiting, queued FROM schedule WHERE id = $1`, [
      id,
    ]);
    expect(row).toEqual([{ attend_at: at(300), waiting: 1, queued: 0 }]);
    const why = await whySchedule(stack.dataSource.manager, key('closed'), { at: at(120).toISOString() });
    expect(why.answer).toBe(
      'closed was due at 2020-01-01T02:00:00Z and is deferred: changes are frozen (calendar year-end): it waits for the opening at 2020-01-01T05:00:00Z.',
    );
    expect(await due()).toContain(id);
    await stack.dataSource.query(`UPDATE schedule SET watermark = $2 WHERE id = $1`, [id, at(299)]);
    await settle(id, 300);
    expect(await fires('closed')).toEqual(['01:00 skipped superseded', '02:00 fired', '05:00 skipped overlap']);
    expect(why.fire?.evidence).toMatchObject({ calendar: 'year-end', opensAt: '2020-01-01T05:00:00Z' });
  });

  it('a trigger waits its turn, once for one key, and is refused where it may not', async () => {
    const id = await schedule('turn', 'overlap: queue-one');
    await stack.inTransaction((context) => triggerSchedule(context, key('turn')));
    const trigger = (options = {}) => stack.inTransaction((context) => triggerSchedule(context, key('turn'), options));
    const waits = await trigger({ idempotencyKey: 'k' });
    expect(waits).toMatchObject({ waiting: { outcome: 'queued', source: 'trigger', runId: null } });
    expect(await trigger({ idempotencyKey: 'k' })).toEqual({
      waiting: expect.objectContaining({ nominalAt: 'waiting' in waits ? waits.waiting.nominalAt : '' }),
    });
    await expect(trigger()).rejects.toMatchObject({ code: 'conflict' });
    const overridden = await trigger({ override: { reason: 'the disk is full' } });
    expect(overridden).toMatchObject({ schedule: 'turn', state: 'queued' });
    const readGate = () =>
      Promise.resolve<CalendarGate>(() => ({
        ...{ isOpen: false, reason: 'window', calendar: 'nights', nextOpenMs: Date.UTC(2030, 0, 1) },
      }));
    await expect(trigger({ readGate })).rejects.toMatchObject({
      code: 'calendar-closed',
      message:
        'Calendar "nights" is closed (window), so schedule "turn" starts nothing. It opens at 2030-01-01T00:00:00.000Z.',
    });
    await endOpenRuns(id, 'succeeded', new Date());
    await stack.dataSource.transaction((transaction) => settleFire(transaction, id, new Date()));
    const { items } = await readLedger(stack.dataSource.manager, key('turn'), { limit: 10 });
    expect(items.map((fire) => [fire.source, fire.outcome, fire.waited, fire.runId !== null])).toEqual([
      ['trigger', 'fired', null, true],
      ['trigger', 'fired', 'queued', true],
      ['trigger', 'fired', null, true],
    ]);
    // The key that waited names the run now.
    expect(await trigger({ idempotencyKey: 'k' })).toMatchObject({ id: items[1]!.runId });
    expect((await check('turn'))?.isSound).toBe(true);
  });

  it('fills in what had no run, one after the other, and nothing twice', async () => {
    const id = await schedule('fill', 'catchUp: 1m');
    await since(id);
    await settle(id, 60);
    await settle(id, 250);
    expect(await fires('fill')).toEqual(['01:00 fired', '02:00 missed late x3']);
    const request = {
      from: at(30).toISOString(),
      to: at(240).toISOString(),
      reason: 'the worker was down',
      dryRun: false,
    };
    const fill = (given: Partial<typeof request> = {}) =>
      stack.inTransaction((context) => backfillSchedule(context, key('fill'), { ...request, ...given }));
    expect(await fill({ dryRun: true })).toMatchObject({ queued: { length: 2 }, alreadyRan: 1 });
    await stack.dataSource.query(`UPDATE schedule SET watermark = clock_timestamp() WHERE id = $1`, [id]);
    expect(await fill()).toMatchObject({ queued: [at(120).toISOString(), at(180).toISOString()], alreadyRan: 1 });
    expect(await fill()).toMatchObject({ queued: [], alreadyRan: 3 });
    const backfills = async (): Promise<string[]> => (await fires('fill')).filter((text) => text.includes('backfill'));
    expect(await backfills()).toEqual(['02:00 backfill queued', '03:00 backfill queued']);
    for (const expected of [
      ['02:00 backfill fired', '03:00 backfill queued'],
      ['02:00 backfill fired', '03:00 backfill fired'],
    ]) {
      await endOpenRuns(id, 'succeeded', new Date());
      await stack.dataSource.transaction((transaction) => settleFire(transaction, id, new Date()));
      expect(await backfills()).toEqual(expected);
    }
    const runs: unknown = await stack.dataSource.query(
      `SELECT fire_at FROM run WHERE schedule_id = $1 ORDER BY fire_at`,
      [id],
    );
    expect(runs).toEqual([{ fire_at: at(60) }, { fire_at: at(120) }, { fire_at: at(180) }]);
    await expect(fill({ to: at(30).toISOString() })).rejects.toMatchObject({ code: 'invalid-request' });
    await expect(fill({ to: '2099-01-01T00:00:00Z' })).rejects.toMatchObject({ code: 'invalid-request' });
    await stack.inTransaction((context) => pauseSchedule(context, key('fill'), { reason: 'stocktaking' }));
    const asked = await fill({ dryRun: true, from: at(-90).toISOString() });
    expect(asked).toMatchObject({ queued: { length: 2 }, alreadyRan: 3, notice: expect.stringMatching(/is paused/) });
    await expect(fill({ from: at(-90).toISOString() })).rejects.toMatchObject({ code: 'conflict' });
  });

  it('reads its calendars only where there is something to decide', async () => {
    const id = await schedule('calm', 'overlap: queue-one');
    await since(id);
    let reads = 0;
    const settleAt = (minutes: number) =>
      stack.dataSource.transaction((transaction) =>
        settleFire(transaction, id, at(minutes), () => {
          reads += 1;
          return Promise.resolve<CalendarGate>(() => ({ isOpen: true }));
        }),
      );
    const counts: number[] = [];
    // 01:00 starts, 02:00 is queued and looked at again.
    for (const minutes of [30, 60, 61, 120, 121]) {
      await settleAt(minutes);
      counts.push(reads);
    }
    expect(counts).toEqual([0, 1, 1, 2, 3]);
    expect(await fires('calm')).toEqual(['01:00 fired', '02:00 queued overlap']);
  });

  it('a pause has an end, ends what waits, and one row tells of it', async () => {
    const id = await schedule('rest', 'overlap: queue-all, catchUp: 30d');
    await since(id);
    await settle(id, 60);
    await settle(id, 120);
    await stack.dataSource.query(
      `UPDATE schedule SET paused_at = $2, paused_until = $3, paused_by = 'x', pause_reason = 'stocktaking' WHERE id = $1`,
      [id, at(130), at(310)],
    );
    await settle(id, 190);
    await settle(id, 250);
    await endOpenRuns(id, 'succeeded', at(300));
    expect(await fires('rest')).toEqual(['01:00 fired', '02:00 skipped paused', '03:00 skipped paused x2']);
    await settle(id, 362);
    expect((await fires('rest')).slice(2)).toEqual(['03:00 skipped paused x3', '06:00 caught-up']);
    expect((await getSchedule(stack.dataSource.manager, key('rest'))).paused).toBeNull();
    expect(await check('rest')).toMatchObject({ instants: 6, isSound: true });
    const why = await whySchedule(stack.dataSource.manager, key('rest'), { at: at(240).toISOString() });
    expect(why.answer).toBe(
      'rest was due at 2020-01-01T04:00:00Z and was skipped: the schedule was paused by x (stocktaking); the same holds for 3 instants in a row, from 2020-01-01T03:00:00.000Z to 2020-01-01T05:00:00.000Z.',
    );
    const pause = (until: Date) =>
      stack.inTransaction((context) =>
        pauseSchedule(context, key('rest'), { reason: 'r', until: until.toISOString() }),
      );
    await expect(pause(at(0))).rejects.toMatchObject({ code: 'invalid-request' });
    const until = new Date(Date.now() + 3_600_000);
    expect((await pause(until)).paused).toMatchObject({ until: until.toISOString() });
  });

  it('a failure pauses the schedule from its moment on, until somebody resumes it', async () => {
    const id = await schedule('fragile', 'pauseOnFailure: true');
    await since(id);
    await settle(id, 60);
    await endOpenRuns(id, 'failed', at(90));
    expect(await due()).toContain(id);
    await settle(id, 120);
    expect(await fires('fragile')).toEqual(['01:00 fired', '02:00 skipped paused']);
    const { paused } = await getSchedule(stack.dataSource.manager, key('fragile'));
    expect(paused).toMatchObject({
      by: 'system',
      reason: expect.stringMatching(/^run [\w-]+ failed$/),
      since: at(90).toISOString(),
    });
  });

  it('a run that takes up one of its runs, or makes it again, is its run too, though of no instant', async () => {
    const id = await schedule('again', 'overlap: queue-one, pauseOnFailure: true');
    await since(id);
    const row = async (runId: string): Promise<unknown> => {
      const rows: object[] = await stack.dataSource.query(
        `SELECT schedule_id AS of, fire_at AS at FROM run WHERE id = $1`,
        [runId],
      );
      return rows[0];
    };
    const request = { targets: 'unfinished', rerunUnknown: false } as const;
    await settle(id, 60);
    const { items } = await readLedger(stack.dataSource.manager, key('again'), { limit: 1 });
    // Before failures count.
    await endOpenRuns(id, 'failed', new Date(0));
    const resumed = await stack.inTransaction((context) => resumeRun(context, items[0]!.runId!, request));
    expect(await row(resumed.id)).toEqual({ of: id, at: null });
    // It is in the way of the next one, and its failure pauses the schedule.
    await settle(id, 120);
    expect(await fires('again')).toEqual(['01:00 fired', '02:00 queued overlap']);
    await endOpenRuns(id, 'succeeded', new Date(0));
    const retried = await stack.inTransaction((context) =>
      retryRun(context, resumed.id, { ...request, targets: 'all' }),
    );
    expect(await row(retried.id)).toEqual({ of: id, at: null });
    await endOpenRuns(id, 'failed', at(130));
    await settle(id, 180);
    expect(await fires('again')).toEqual(['01:00 fired', '02:00 skipped paused', '03:00 skipped paused']);
    const { paused } = await getSchedule(stack.dataSource.manager, key('again'));
    expect(paused?.reason).toBe(`run ${retried.id} failed`);
  });

  it('counts a ledger for its first page only, and says why where it does not', async () => {
    const id = await schedule('pages');
    await since(id);
    await settle(id, 60);
    await settle(id, 120);
    const first = await readLedger(stack.dataSource.manager, key('pages'), { limit: 1 });
    expect([first.check?.isSound, first.unchecked]).toEqual([true, null]);
    const second = await readLedger(stack.dataSource.manager, key('pages'), { limit: 1, after: first.next! });
    expect([second.items.length, second.check, second.unchecked]).toEqual([1, null, 'only with the first page']);
    await stack.dataSource.query(`UPDATE schedule SET counted_from = NULL WHERE id = $1`, [id]);
    expect(await readLedger(stack.dataSource.manager, key('pages'), { limit: 1 })).toMatchObject({
      ...{ check: null, unchecked: 'it is not known since when the schedule is due as it is' },
    });
  });

  it('puts a schedule aside that is never due, with its reason, and lists the others', async () => {
    await schedule('never', 'start: "2030-01-01", end: "2030-01-01", exclude: [{date: "2030-01-01"}]');
    const shown = await getSchedule(stack.dataSource.manager, key('never'));
    expect(shown).toMatchObject({ quarantineReason: expect.stringContaining('never due'), nextFires: [] });
    const why = await whySchedule(stack.dataSource.manager, key('never'), {});
    expect(why.answer).toMatch(/^never is quarantined and starts nothing: it is never due/);
    await schedule('never', 'start: "2030-01-01"');
    expect(await getSchedule(stack.dataSource.manager, key('never'))).toMatchObject({
      quarantineReason: null,
      nextFires: { length: 5 },
    });
  });
});
