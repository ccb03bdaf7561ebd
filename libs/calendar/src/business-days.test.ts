import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  addBusinessDays,
  isBusinessDay,
  MonthlyTimes,
  nearestBusinessDay,
  nthBusinessDay,
  RolledTimes,
  type BusinessDays,
} from './business-days.js';
import { parseCron } from './cron.js';
import { instants, previewInstants, previousInstant } from './instants.js';
import { CronTimes } from './local-times.js';
import { scheduleRecurrence, timingChecks, timingText, wakingCron } from './schedule-recurrence.js';

const DAY_MS = 86_400_000;
const day = (text: string): number => Date.parse(text) / DAY_MS;
const text = (value: number | null): string | null =>
  value === null ? null : new Date(value * DAY_MS).toISOString().slice(0, 10);
const germany: BusinessDays = {
  weekend: [6, 0],
  holidays: new Set(['2026-12-25', '2027-01-01', '2027-03-26', '2027-03-29'].map(day)),
};
const timing = {
  timeZone: 'Europe/Berlin',
  businessDays: { weekend: ['SAT' as const, 'SUN' as const], holidays: ['2026-12-25', '2027-01-01'] },
};
const local = (from: string, count: number, more: object): string[] =>
  instants({ ...scheduleRecurrence({ ...timing, ...more }, 's'), from, count }).map((one) => one.local.slice(0, 16));

describe('business days', () => {
  it('are counted over weekends and holidays', () => {
    expect(text(nearestBusinessDay(germany, day('2026-12-25'), 'next'))).toBe('2026-12-28');
    expect(text(nearestBusinessDay(germany, day('2026-12-27'), 'previous'))).toBe('2026-12-24');
    expect(text(nearestBusinessDay(germany, day('2026-12-24'), 'next'))).toBe('2026-12-24');
    expect(text(addBusinessDays(germany, day('2026-12-24'), 3))).toBe('2026-12-30');
    expect(text(addBusinessDays(germany, day('2027-01-02'), -1))).toBe('2026-12-31');
    expect(text(addBusinessDays(germany, day('2026-12-26'), 0))).toBe('2026-12-26');
    const december = (2026 - 1970) * 12 + 11;
    expect([1, 19, 22, 23, -1, -5, -22, -23].map((nth) => text(nthBusinessDay(germany, december, nth)))).toEqual([
      '2026-12-01',
      '2026-12-28',
      '2026-12-31',
      null,
      '2026-12-31',
      '2026-12-24',
      '2026-12-01',
      null,
    ]);
    const never: BusinessDays = { weekend: [0, 1, 2, 3, 4, 5, 6], holidays: new Set() };
    expect(nearestBusinessDay(never, 0, 'next')).toBeNull();
    expect(addBusinessDays(never, 0, 1)).toBeNull();
  });

  it('are what monthly and roll mean in a schedule, by the clock of its zone', () => {
    expect(local('2026-12-01', 3, { monthly: { businessDay: [1, -1], time: '06:30' } })).toEqual([
      '2026-12-01T06:30',
      '2026-12-31T06:30',
      '2027-01-04T06:30',
    ]);
    expect(local('2026-12-01', 2, { monthly: { businessDay: 3, months: [1, 7], time: ['18:00', '06:00'] } })).toEqual([
      '2027-01-06T06:00',
      '2027-01-06T18:00',
    ]);
    const first = { cron: '0 4 1 * *' };
    expect(local('2026-12-02', 3, { ...first, roll: 'next' })).toEqual([
      '2027-01-04T04:00',
      '2027-02-01T04:00',
      '2027-03-01T04:00',
    ]);
    expect(local('2026-12-02', 2, { ...first, roll: 'previous' })).toEqual(['2026-12-31T04:00', '2027-02-01T04:00']);
    // A daily one on holidays and weekends meets that of the next business day: one instant.
    expect(local('2026-12-24', 3, { cron: '0 4 * * *', roll: 'next' })).toEqual([
      '2026-12-24T04:00',
      '2026-12-28T04:00',
      '2026-12-29T04:00',
    ]);
    expect(local('2026-12-24', 2, { cron: '0 4 * * *', exclude: [{ nonBusinessDays: true }] })).toEqual([
      '2026-12-24T04:00',
      '2026-12-28T04:00',
    ]);
    expect(local('2026-01-01', 2, { at: '2026-12-26T08:00', roll: 'previous' })).toEqual(['2026-12-24T08:00']);
    // The night of the change is a Sunday: Monday has no gap.
    expect(local('2026-03-28', 1, { rrule: 'FREQ=WEEKLY;BYDAY=SU;BYHOUR=2;BYMINUTE=30', roll: 'next' })).toEqual([
      '2026-03-30T02:30',
    ]);
    const recurrence = scheduleRecurrence({ ...timing, cron: '0 4 1 * *', roll: 'next' }, 's');
    expect(previousInstant({ ...recurrence, before: '2027-01-10' })?.local.slice(0, 10)).toBe('2027-01-04');
    expect(previewInstants({ ...recurrence, from: '2026-12-02', count: 1 })).toMatchObject([{ note: '' }]);
  });

  it('are refused where they cannot be meant, each piece by itself', () => {
    const wrong = (more: object): string[] =>
      timingChecks({ ...timing, ...more }).flatMap(({ path, check }) => {
        try {
          check();
          return [];
        } catch {
          return [path.join('.')];
        }
      });
    expect(wrong({ every: '1h', roll: 'next' })).toEqual(['roll']);
    expect(wrong({ monthly: { businessDay: 1, time: '06:00' }, roll: 'next' })).toEqual(['roll']);
    expect(wrong({ at: '2026-12-26T08:00:00Z', roll: 'next' })).toEqual(['roll']);
    expect(wrong({ monthly: { businessDay: 1, time: '24:00' } })).toEqual(['monthly']);
    expect(wrong({ cron: '0 4 * * *', businessDays: { weekend: [], holidays: ['2026-02-30'] } })).toEqual([
      'businessDays',
    ]);
    expect(wrong({ cron: '0 4 * * *', roll: 'previous' })).toEqual([]);
    expect(wakingCron({ ...timing, cron: '0 4 * * *', roll: 'next' })).toBeNull();
    expect(timingText({ ...timing, monthly: { businessDay: [3, -1, -2], months: [1], time: '06:00' } })).toBe(
      '3., last, last but 1 business day of the months 1 at 06:00',
    );
  });

  const someDays = fc.record({
    weekend: fc.subarray([0, 1, 2, 3, 4, 5, 6], { maxLength: 5 }),
    holidays: fc.uniqueArray(fc.integer({ min: -40, max: 140 }), { maxLength: 40 }).map((days) => new Set(days)),
  });

  it('agree with looking at each day by itself (property)', () => {
    fc.assert(
      fc.property(
        someDays,
        fc.constantFrom('next' as const, 'previous' as const),
        fc.constantFrom('*', '1,15', '*/3', '31'),
        (days, to, of) => {
          const base = new CronTimes(parseCron(`0 6,18 ${of} * *`));
          const rolled = new RolledTimes(base, days, to);
          const expected = new Set<number>();
          for (let one = -200; one <= 300; one += 1) {
            let target = one;
            while (!isBusinessDay(days, target)) target += to === 'next' ? 1 : -1;
            for (const timeMs of base.times(one * DAY_MS, (one + 1) * DAY_MS))
              expected.add(timeMs + (target - one) * DAY_MS);
          }
          const within = [...expected]
            .filter((timeMs) => timeMs >= 0 && timeMs < 100 * DAY_MS)
            .sort((left, right) => left - right);
          expect([...rolled.times(0, 100 * DAY_MS)]).toEqual(within);
          expect([...rolled.times(DAY_MS / 2, 20 * DAY_MS + 1)]).toEqual(
            within.filter((timeMs) => timeMs >= DAY_MS / 2 && timeMs < 20 * DAY_MS + 1),
          );
          const all = [...new Set([...expected].map((timeMs) => Math.floor(timeMs / DAY_MS)))].sort(
            (left, right) => left - right,
          );
          for (let one = 0; one < 60; one += 7) {
            expect(rolled.nextDay(one)).toBe(all.find((other) => other >= one));
            expect(rolled.previousDay(one)).toBe(all.findLast((other) => other <= one));
          }
        },
      ),
    );
  });

  it('of months agree with counting (property)', () => {
    fc.assert(
      fc.property(
        someDays,
        fc.uniqueArray(fc.constantFrom(1, 2, 3, 15, 23, -1, -2, -20), { minLength: 1 }),
        (days, nths) => {
          const monthly = new MonthlyTimes({ nths, months: null, timesOfDayMs: [3_600_000], days });
          const expected: number[] = [];
          for (let month = 0; month < 4; month += 1) {
            const length = new Date(Date.UTC(1970, month + 1, 0)).getUTCDate();
            const start = Date.UTC(1970, month, 1) / DAY_MS;
            const worked = Array.from({ length }, (_, index) => start + index).filter((one) =>
              isBusinessDay(days, one),
            );
            for (const one of worked) {
              const isMeant = nths.some((nth) => worked.at(nth < 0 ? nth : nth - 1) === one);
              if (isMeant) expected.push(one * DAY_MS + 3_600_000);
            }
          }
          expect([...monthly.times(0, Date.UTC(1970, 4, 1))]).toEqual(expected);
        },
      ),
    );
  });
});
