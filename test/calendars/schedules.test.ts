import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { applyDocuments, backfillSchedule, readScheduleGate, settleFire, triggerSchedule } from '@fettle/operations';
import { findSchedule, listDueSchedules } from '@fettle/database';
import { TestStack } from '../support/stack.js';

let stack: TestStack;

const minute = 60_000;
const iso = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;
const document = (kind: string, name: string, spec: object): string =>
  JSON.stringify({ apiVersion: 'fettle/v1', kind, metadata: { name }, spec });

function apply(...documents: string[]): Promise<unknown> {
  return stack.inTransaction((context) => applyDocuments(context, { source: documents.join('\n---\n') }));
}

const runbook = (name: string, spec: object = {}): string =>
  document('Runbook', name, {
    targets: 'asset.kind == "server"',
    steps: [{ id: 'do', uses: 'ssh.run', with: { argv: ['true'], effect: 'mutating' } }],
    ...spec,
  });

async function gateOf(name: string) {
  const schedule = await findSchedule(stack.dataSource.manager, { space: 'default', name });
  return readScheduleGate(stack.dataSource.manager, schedule!);
}

interface FireRow {
  readonly outcome: string;
  readonly code: string;
  readonly due_at: Date | null;
  readonly run_id: string | null;
}

/** What became of the one instant of a schedule that was due a minute ago. */
async function settledFire(name: string, now = new Date()): Promise<FireRow> {
  const schedule = await findSchedule(stack.dataSource.manager, { space: 'default', name });
  await stack.dataSource.query(`UPDATE schedule SET watermark = $2 WHERE id = $1`, [
    schedule!.id,
    new Date(now.getTime() - 2 * minute),
  ]);
  await stack.dataSource.transaction((transaction) => settleFire(transaction, schedule!.id, now));
  const rows: FireRow[] = await stack.dataSource.query(
    `SELECT outcome, code, due_at, run_id FROM fire WHERE schedule_id = $1 ORDER BY nominal_at DESC LIMIT 1`,
    [schedule!.id],
  );
  return rows[0]!;
}

beforeAll(async () => {
  stack = await TestStack.create();
  await stack.dataSource.query(
    `INSERT INTO asset (id, space, name, kind, site, labels) VALUES
       (gen_random_uuid(), 'default', 'ber1', 'server', 'ber', '{"env": "prod"}'),
       (gen_random_uuid(), 'default', 'nyc1', 'server', 'nyc', '{"env": "prod"}'),
       (gen_random_uuid(), 'default', 'free1', 'workstation', NULL, '{"env": "test"}')`,
  );
}, 60_000);

afterAll(async () => {
  await stack?.close();
});

describe('the gate of a schedule', () => {
  it('is that of its assets, each by the clock of its site, together with the calendars that are named', async () => {
    await apply(
      document('Calendar', 'nights', {
        timeZone: 'Europe/Berlin',
        siteTimeZones: { nyc: 'America/New_York' },
        assets: 'asset.labels.env == "prod"',
        windows: [{ cron: '0 22 * * *', duration: '4h' }],
      }),
      document('Calendar', 'year-end', { freezes: [{ from: '2026-12-20', to: '2027-01-03' }] }),
      runbook('patch'),
      document('Schedule', 'patch-all', { runbook: 'patch', cron: '0 * * * *', calendars: ['year-end'] }),
      document('Schedule', 'patch-ber', { runbook: 'patch', cron: '0 * * * *', targets: 'asset.site == "ber"' }),
    );
    const [all, ber] = [await gateOf('patch-all'), await gateOf('patch-ber')];
    const at = (text: string) => [all(Date.parse(text)).isOpen, ber(Date.parse(text)).isOpen];
    expect(at('2026-06-10T21:00Z')).toEqual([true, true]);
    expect(at('2026-06-11T03:00Z')).toEqual([true, false]);
    expect(at('2026-06-11T12:00Z')).toEqual([false, false]);
    expect(at('2026-12-24T22:00Z')).toEqual([false, true]);
    expect(all(Date.parse('2026-12-24T22:00Z'))).toMatchObject({
      reason: 'freeze',
      calendar: 'year-end',
      nextOpenMs: Date.parse('2027-01-04T03:00Z') - 3 * 3_600_000,
    });
  });

  it('does not hold a runbook that only looks, except by the calendars that it names', async () => {
    const looks = { steps: [{ id: 'look', uses: 'ssh.run', with: { argv: ['true'], effect: 'read-only' } }] };
    await apply(
      runbook('look', looks),
      runbook('look-named', { ...looks, calendars: ['year-end'] }),
      document('Schedule', 'looks', { runbook: 'look', cron: '0 * * * *' }),
      document('Schedule', 'looks-named', { runbook: 'look-named', cron: '0 * * * *' }),
    );
    expect((await gateOf('looks'))(Date.parse('2026-06-11T12:00Z'))).toEqual({ isOpen: true });
    expect((await gateOf('looks-named'))(Date.parse('2026-12-24T22:00Z')).isOpen).toBe(false);
  });

  it('names calendars that exist, or that are applied with it', async () => {
    const unknown = document('Schedule', 'nobody', { runbook: 'patch', cron: '0 * * * *', calendars: ['no-such'] });
    await expect(apply(unknown)).rejects.toMatchObject({
      code: 'invalid-document',
      findings: [{ code: 'unknown-calendar', path: 'spec.calendars[0]' }],
    });
    await expect(apply(unknown, document('Calendar', 'no-such', {}))).resolves.toBeDefined();
  });
});

describe('fires of schedules whose calendars are closed', () => {
  it('are refused, skipped, or deferred to the next opening', async () => {
    const opensMs = Math.ceil(Date.now() / 1000) * 1000 + 30 * minute;
    const closed = { windows: [{ from: iso(opensMs), to: iso(opensMs + 60 * minute) }] };
    const schedule = (name: string, whenClosed: string): string =>
      document('Schedule', name, { runbook: 'free', cron: '* * * * *', calendars: ['later'], whenClosed });
    await apply(
      document('Calendar', 'later', closed),
      runbook('free', { targets: 'asset.name == "free1"', calendars: ['later'] }),
      schedule('refuses', 'refuse'),
      schedule('skips', 'skip'),
      schedule('defers', 'defer'),
    );
    expect(await settledFire('refuses')).toMatchObject({ code: 'window', run_id: null });
    expect(await settledFire('skips')).toMatchObject({ outcome: 'skipped', code: 'window', run_id: null });
    expect(await settledFire('defers')).toMatchObject({ outcome: 'deferred', code: 'window', run_id: null });
    const [waiting]: { due_at: Date }[] = await stack.dataSource.query(
      `SELECT due_at FROM fire WHERE outcome = 'deferred' AND due_at IS NOT NULL`,
    );
    expect(waiting?.due_at.getTime()).toBe(opensMs);
  });

  it('start when they are triggered with a reason, and the run goes on outside of its calendars', async () => {
    await apply(
      document('Schedule', 'urgent', { runbook: 'free', cron: '0 0 1 1 *', calendars: ['later'], onClose: 'park' }),
    );
    const key = { space: 'default', name: 'urgent' };
    const refused = stack.inTransaction((context) => triggerSchedule(context, key));
    await expect(refused).rejects.toMatchObject({ code: 'calendar-closed', detail: { calendar: 'later' } });
    const run = await stack.inTransaction((context) =>
      triggerSchedule(context, key, { override: { reason: 'it burns' } }),
    );
    expect('id' in run).toBe(true);
    if (!('id' in run)) return;
    expect((await stack.run(run.id)).calendar).toMatchObject({
      named: [['later']],
      onClose: 'park',
      override: { by: 'tester', reason: 'it burns' },
    });
  });

  it('are filled in at the opening, and refused where none is known', async () => {
    const opensMs = Math.ceil(Date.now() / 1000) * 1000 + 30 * minute;
    const fill = (name: string) =>
      stack.inTransaction((context) =>
        backfillSchedule(
          context,
          { space: 'default', name },
          { from: iso(Date.now() - 5 * minute), to: iso(Date.now()), reason: 'nobody was there', dryRun: false },
        ),
      );
    const schedule = (name: string, calendar: string): string =>
      document('Schedule', name, { runbook: 'plain', cron: '*/2 * * * *', calendars: [calendar] });
    await apply(
      document('Calendar', 'opens', { windows: [{ from: iso(opensMs), to: iso(opensMs + 60 * minute) }] }),
      document('Calendar', 'over', { windows: [{ from: '2020-01-01', to: '2020-01-02' }] }),
      runbook('plain', { targets: 'asset.name == "free1"' }),
      schedule('filled', 'opens'),
      schedule('in-vain', 'over'),
    );
    const { queued } = await fill('filled');
    expect(queued.length).toBeGreaterThanOrEqual(2);
    const rows: unknown[] = await stack.dataSource.query(
      `SELECT DISTINCT f.outcome, f.due_at FROM fire f JOIN schedule s ON s.id = f.schedule_id
       WHERE s.name = 'filled' AND f.source = 'backfill'`,
    );
    expect(rows).toEqual([{ outcome: 'deferred', due_at: new Date(opensMs) }]);
    await expect(fill('in-vain')).rejects.toMatchObject({ code: 'calendar-closed', detail: { calendar: 'over' } });
  });

  it('are looked at again at once when a calendar is applied', async () => {
    const schedule = await findSchedule(stack.dataSource.manager, { space: 'default', name: 'filled' });
    const due = () => listDueSchedules(stack.dataSource.manager, 24 * 60 * minute, [], 1000);
    expect(await due()).not.toContain(schedule!.id);
    await apply(document('Calendar', 'opens', {}));
    expect(await due()).toContain(schedule!.id);
    await stack.dataSource.transaction((transaction) => settleFire(transaction, schedule!.id));
    const [fired]: { count: number }[] = await stack.dataSource.query(
      `SELECT count(*)::integer AS count FROM fire WHERE schedule_id = $1 AND source = 'backfill' AND run_id IS NOT NULL`,
      [schedule!.id],
    );
    expect(fired?.count).toBe(1);
  });

  it('let none of their targets wait when they are triggered with a reason, also where one is open', async () => {
    await apply(
      document('Calendar', 'prod-only', {
        assets: 'asset.name == "ber1"',
        windows: [{ from: '2020-01-01', to: '2020-01-02' }],
      }),
      runbook('both', { targets: 'asset.name in ["ber1", "free1"]' }),
      document('Schedule', 'all-of-it', { runbook: 'both', cron: '0 0 1 1 *' }),
    );
    const key = { space: 'default', name: 'all-of-it' };
    expect((await gateOf('all-of-it'))(Date.now()).isOpen).toBe(true);
    const run = await stack.inTransaction((context) =>
      triggerSchedule(context, key, { override: { reason: 'it burns' } }),
    );
    if (!('id' in run)) throw new Error('it waits');
    expect((await stack.run(run.id)).calendar).toMatchObject({ override: { reason: 'it burns' } });
  });
});
