import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseCron } from './cron.js';
import { instants, nextInstants, previewInstants, previousInstant } from './instants.js';
import type { Recurrence } from './recurrence.js';
import { parseRule } from './rule-parse.js';
import { scheduleRecurrence, timingChecks, timingText, wakingCron } from './schedule-recurrence.js';

const BERLIN = 'Europe/Berlin';

function days(expression: string, from: string, count: number): string[] {
  const query = { cron: parseCron(expression), timeZone: 'UTC', from, count };
  return instants(query).map(({ at }) => at.slice(0, 10));
}

function local(recurrence: Recurrence, from: string, count: number): string[] {
  return instants({ ...recurrence, from, count }).map((one) => `${one.local.slice(0, 16)} ${one.note}`.trim());
}

describe('days that depend on the month', () => {
  it.each([
    ['0 0 L * *', ['2028-02-29', '2028-03-31', '2028-04-30']],
    ['0 0 L-2 * *', ['2028-02-27', '2028-03-29', '2028-04-28']],
    // 29 February 2028 is a Tuesday; 30 April a Sunday.
    ['0 0 LW * *', ['2028-02-29', '2028-03-31', '2028-04-28']],
    // 1 April 2028 is a Saturday: not the Friday of March but the Monday after.
    ['0 0 1W * *', ['2028-02-01', '2028-03-01', '2028-04-03']],
    ['0 0 31W * *', ['2028-03-31', '2028-05-31', '2028-07-31']],
    ['0 0 * * 5L', ['2028-02-25', '2028-03-31', '2028-04-28']],
    ['0 0 * * FRI#5', ['2028-03-31', '2028-06-30', '2028-09-29']],
    ['0 0 * * 7#1,mon#2', ['2028-02-06', '2028-02-14', '2028-03-05']],
    ['0 0 15,L * 5#L', ['2028-02-15', '2028-02-25', '2028-02-29']],
    ['0 0 ? * MON#L', ['2028-02-28', '2028-03-27', '2028-04-24']],
  ])('%s', (expression, expected) => {
    expect(days(expression, '2028-02-01', 3)).toEqual(expected);
  });

  it('reads weekday 15W into no other month, whatever the month', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 31 }), fc.integer({ min: 0, max: 600 }), (day, month) => {
        const from = new Date(Date.UTC(2000, month, 1)).toISOString().slice(0, 10);
        const to = new Date(Date.UTC(2000, month + 1, 1)).toISOString().slice(0, 10);
        const found = instants({ cron: parseCron(`0 0 ${day}W * *`), timeZone: 'UTC', from, to });
        const length = (Date.parse(to) - Date.parse(from)) / 86_400_000;
        expect(found).toHaveLength(day <= length ? 1 : 0);
        const at = new Date(found[0]?.at ?? '2026-11-23');
        expect(at.getUTCDay() % 6).not.toBe(0);
        if (found.length === 1) expect(Math.abs(at.getUTCDate() - day)).toBeLessThanOrEqual(2);
      }),
    );
  });
});

describe('recurrence rules', () => {
  const rule = (text: string, timeZone = BERLIN): Recurrence => ({ rule: parseRule(text, timeZone), timeZone });

  it('reads the wall clock of the zone, with its policies', () => {
    expect(local(rule('FREQ=MONTHLY;BYDAY=2TU;BYHOUR=2'), '2026-03-01', 2)).toEqual([
      '2026-03-10T02:00',
      '2026-04-14T02:00',
    ]);
    const daily = rule('FREQ=DAILY;BYHOUR=2;BYMINUTE=30');
    expect(local(daily, '2026-03-28T12:00', 2)).toEqual(['2026-03-29T03:30 gap-shifted', '2026-03-30T02:30']);
    expect(local({ ...daily, gap: 'skip' }, '2026-03-28T12:00', 1)).toEqual(['2026-03-30T02:30']);
    expect(local({ ...daily, overlap: 'both' }, '2026-10-24T12:00', 2)).toEqual([
      '2026-10-25T02:30 overlap-first',
      '2026-10-25T02:30 overlap-last',
    ]);
    expect(local(rule('FREQ=HOURLY'), '2026-10-24T23:00', 4).map((text) => text.slice(11, 16))).toEqual([
      '01:00',
      '02:00',
      '02:00',
      '03:00',
    ]);
  });

  it('counts from DTSTART, leaves EXDATE out and adds RDATE', () => {
    const text =
      'DTSTART;TZID=Europe/Berlin:20260105T090000\nRRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=3\nEXDATE:20260119T090000\nRDATE:20260121T100000';
    expect(local(rule(text), '2026-01-01', 10)).toEqual(['2026-01-05T09:00', '2026-01-21T10:00', '2026-02-02T09:00']);
    const recurrence = rule(text);
    expect(previousInstant({ ...recurrence, before: '2026-03-01' })?.local.slice(0, 10)).toBe('2026-02-02');
    expect(previousInstant({ ...recurrence, before: '2026-01-05T08:00:00Z' })).toBeNull();
    expect(local(rule('FREQ=DAILY;UNTIL=20260103T000000Z'), '2026-01-01', 9)).toEqual([
      '2026-01-02T00:00',
      '2026-01-03T00:00',
    ]);
    expect(local(rule('FREQ=DAILY;UNTIL=20260102'), '2026-01-01', 9)).toEqual(['2026-01-02T00:00']);
  });

  it.each([
    ['FREQ=DALY', 6],
    ['BYDAY=MO', 1],
    ['FREQ=DAILY;COUNT=3', 18],
    ['FREQ=WEEKLY;BYDAY=2MO', 19],
    ['FREQ=WEEKLY;BYMONTHDAY=3', 24],
    ['FREQ=DAILY;BYHOUR=1,24', 21],
    ['FREQ=DAILY;BYSETPOS=1', 21],
    ['FREQ=DAILY;FREQ=DAILY', 12],
    ['FREQ=DAILY;UNTIL=20260231', 18],
    ['DTSTART:20260101T000000\nRRULE:FREQ=DAILY;X=1', 42],
  ])('points at what is wrong: %j', (text, column) => {
    expect(() => parseRule(text, 'UTC')).toThrow(
      expect.objectContaining({ code: 'invalid-schedule', position: { line: 1, column } }),
    );
  });

  it('goes backward as it goes forward', () => {
    const rules = [
      'FREQ=MONTHLY;BYDAY=MO,FR;BYSETPOS=-1,2;BYHOUR=2,14',
      'FREQ=YEARLY;INTERVAL=3;BYWEEKNO=1,20',
      'FREQ=MINUTELY;INTERVAL=1001',
      'FREQ=WEEKLY;WKST=SU;INTERVAL=2;BYDAY=SA,SU',
    ];
    for (const recurrence of rules.map((text) => rule(text))) {
      const forward = instants({ ...recurrence, from: '2024-01-01', to: '2026-01-01' });
      let before = '2026-01-01T00:00:00Z';
      for (const expected of forward.slice(-60).reverse()) {
        const found = previousInstant({ ...recurrence, before });
        expect(found).toEqual(expected);
        before = expected.at;
      }
    }
  });
});

describe('intervals, single times, bounds, exclusions', () => {
  it('counts intervals from the epoch, with a phase', () => {
    const every = scheduleRecurrence({ every: '90m', phase: '10m', timeZone: BERLIN }, '');
    expect(instants({ ...every, from: '2026-03-29T00:00:00Z', count: 2 })).toEqual([
      { at: '2026-03-29T00:10:00Z', local: '2026-03-29T01:10:00+01:00', note: '' },
      { at: '2026-03-29T01:40:00Z', local: '2026-03-29T03:40:00+02:00', note: '' },
    ]);
    expect(previousInstant({ ...every, before: '2026-03-29T00:10:00Z' })?.at).toBe('2026-03-28T22:40:00Z');
  });

  it('comes once: by the clock of the zone, or at an instant', () => {
    const once = (at: string): string[] => local(scheduleRecurrence({ at, timeZone: BERLIN }, ''), '2026-01-01', 5);
    expect(once('2026-03-29T02:30')).toEqual(['2026-03-29T03:30 gap-shifted']);
    expect(once('2026-03-29T02:30:00Z')).toEqual(['2026-03-29T04:30']);
    expect(once('2025-03-29')).toEqual([]);
  });

  it('starts and ends inclusively, a date with its whole day', () => {
    const timing = { cron: '0 0,12 * * *', timeZone: BERLIN, start: '2026-03-02', end: '2026-03-03' };
    expect(local(scheduleRecurrence(timing, ''), '2026-01-01', 9)).toEqual([
      '2026-03-02T00:00',
      '2026-03-02T12:00',
      '2026-03-03T00:00',
      '2026-03-03T12:00',
    ]);
    expect(local(scheduleRecurrence({ ...timing, end: '2026-03-03T00:00' }, ''), '2026-01-01', 9)).toHaveLength(3);
  });

  it('leaves out dates and what other expressions name, and says so', () => {
    const timing = {
      cron: '0 2 * * *',
      timeZone: BERLIN,
      exclude: [{ date: '2026-03-28' }, { cron: '* * * * SUN' }, { rrule: 'FREQ=MONTHLY;BYMONTHDAY=-1;BYHOUR=2' }],
    };
    const recurrence = scheduleRecurrence(timing, '');
    // 29 March 2026 is a Sunday whose 02:00 does not exist, 31 March the last of the month.
    expect(local(recurrence, '2026-03-27', 3)).toEqual(['2026-03-27T02:00', '2026-03-30T02:00', '2026-04-01T02:00']);
    const preview = previewInstants({ ...recurrence, from: '2026-03-27', count: 3 });
    expect(preview.map(({ at, note }) => `${at.slice(5, 10)} ${note}`.trim())).toEqual([
      '03-27',
      '03-28 excluded',
      '03-29 excluded',
      '03-30',
      '03-31 excluded',
      '04-01',
    ]);
    expect(previousInstant({ ...recurrence, before: '2026-03-30' })?.local.slice(0, 10)).toBe('2026-03-27');
  });

  it('tells what the policies skip', () => {
    const skipped = (timing: object, from: string): string[] =>
      previewInstants({ ...scheduleRecurrence({ timeZone: BERLIN, ...timing }, ''), from, count: 2 }).map(
        ({ local: at, note }) => `${at} ${note}`.trim(),
      );
    expect(skipped({ cron: '30 2,3 * * *' }, '2026-03-29')).toEqual([
      '2026-03-29T03:30:00+02:00',
      '2026-03-29T02:30:00+01:00 gap-merged',
      '2026-03-30T02:30:00+02:00',
    ]);
    expect(skipped({ cron: '30 2 * * *', dst: { gap: 'skip', overlap: 'last' } }, '2026-10-24T12:00')).toEqual([
      '2026-10-25T02:30:00+02:00 overlap-skipped',
      '2026-10-25T02:30:00+01:00 overlap-last',
      '2026-10-26T02:30:00+01:00',
    ]);
    expect(skipped({ cron: '30 2 * * *', dst: { gap: 'skip', overlap: 'first' } }, '2026-03-29')[0]).toBe(
      '2026-03-29T02:30:00+01:00 gap-skipped',
    );
  });
});

describe('jitter', () => {
  it('is the same at each reckoning, in order, apart, and never as late as the next instant', () => {
    fc.assert(
      fc.property(
        fc.string({ maxLength: 20 }),
        fc.integer({ min: 1, max: 7200 }),
        fc.constantFrom('*/7 * * * *', '0 2 * * *', '0 0 1 * *', '* * * * * *'),
        fc.integer({ min: 0, max: 86_400 * 300 }),
        (seed, seconds, expression, offset) => {
          const from = Date.UTC(2026, 0, 1) + offset * 1000;
          const plain = { cron: parseCron(expression), timeZone: BERLIN };
          const moved = { ...plain, jitter: { maxMs: seconds * 1000, seed } };
          const found = instants({ ...moved, from, count: 20 }).map(({ at }) => Date.parse(at));
          expect(found).toEqual([...new Set(found)].sort((a, b) => a - b));
          for (const at of found) {
            const nominal = Date.parse(previousInstant({ ...plain, before: at + 1 })?.at ?? '');
            expect(at - nominal).toBeLessThanOrEqual(seconds * 1000);
          }
          const cut = (found[10] ?? 0) + 1;
          const [before] = [instants({ ...moved, from, to: cut })];
          const after = nextInstants({ ...moved, after: cut - 1, count: 9 });
          expect([...before, ...after].map(({ at }) => Date.parse(at))).toEqual(found);
          expect(previousInstant({ ...moved, before: cut })?.at).toBe(before.at(-1)?.at);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('spreads schedules and never changes', () => {
    const at = (seed: string): string | undefined =>
      nextInstants({
        ...scheduleRecurrence({ cron: '0 2 * * *', timeZone: 'UTC', jitter: '1h' }, seed),
        after: '2026-01-01',
        count: 1,
      })[0]?.at;
    expect(new Set(Array.from({ length: 50 }, (_, index) => at(`default/s${index}`))).size).toBeGreaterThan(40);
    expect(at('default/nightly')).toBe('2026-01-01T02:47:53Z');
  });
});

describe('timings of documents', () => {
  it('tells every mistake with its place', () => {
    const failing = timingChecks({
      cron: '60 * * * *',
      timeZone: BERLIN,
      start: 'soon',
      jitter: '2d',
      exclude: [{ date: '2026-02-30' }, { cron: '* * * * MON' }, { rrule: 'FREQ=NEVER' }],
    }).filter(({ check }) => {
      try {
        check();
        return false;
      } catch {
        return true;
      }
    });
    expect(failing.map(({ path }) => path.join('.'))).toEqual([
      'cron',
      'start',
      'jitter',
      'exclude.0.date',
      'exclude.2.rrule',
    ]);
  });

  it('has a text for people, and an expression for who can only wake by plain cron', () => {
    expect(timingText({ every: '90m', phase: '5m', timeZone: 'UTC' })).toBe('every 90m plus 5m');
    expect(wakingCron({ cron: '0 2 * * 1-5', timeZone: 'UTC' })).toBe('0 2 * * 1-5');
    expect(wakingCron({ cron: '0 2 L * *', timeZone: 'UTC' })).toBeNull();
    expect(wakingCron({ rrule: 'FREQ=DAILY', timeZone: 'UTC' })).toBeNull();
  });
});
