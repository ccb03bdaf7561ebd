import { describe, expect, it } from '@jest/globals';
import { FettleError } from '@fettle/contracts';
import fc from 'fast-check';
import { parseCron } from './cron.js';
import { instants, previewInstants, previousInstant } from './instants.js';
import { parseRule } from './rule-parse.js';
import { scheduleRecurrence, timingChecks, type ScheduleTiming } from './schedule-recurrence.js';

const seed = Number(process.env['FETTLE_SEED'] ?? Date.now() % 2 ** 31);
const RUNS = 500;

const pieces = [
  '*',
  '/',
  '-',
  ',',
  '#',
  'L',
  'W',
  '?',
  ' ',
  '0',
  '7',
  '59',
  '31',
  '999999999',
  'MON',
  '@',
  '\u0000',
  '😀',
  '__proto__',
  '\n',
];
const ruleParts = [
  'FREQ=SECONDLY',
  'FREQ=MINUTELY',
  'FREQ=HOURLY',
  'FREQ=DAILY',
  'FREQ=WEEKLY',
  'FREQ=MONTHLY',
  'FREQ=YEARLY',
  'INTERVAL=2',
  'INTERVAL=99999999',
  'INTERVAL=0',
  'COUNT=10000',
  'COUNT=99999999999',
  'UNTIL=20260101T000000Z',
  'UNTIL=99999999',
  'BYMONTH=2',
  'BYMONTH=13',
  'BYMONTHDAY=30,31',
  'BYMONTHDAY=-31',
  'BYYEARDAY=366',
  'BYWEEKNO=53',
  'BYDAY=5MO,-5SU',
  'BYDAY=XX',
  'BYHOUR=25',
  'BYHOUR=3',
  'BYMINUTE=17',
  'BYSECOND=1',
  'BYSETPOS=-366',
  'WKST=SA',
  'X=Y',
  ';',
  '\nDTSTART:20260101T000000',
  '\nDTSTART;TZID=Mars/X:20260101T000000',
  '\nEXDATE:20260101',
  '\nRDATE:20260101T000000,,',
];
const hostileText = fc.oneof(
  fc.string({ maxLength: 300 }),
  fc.string({ unit: 'binary', maxLength: 100 }),
  fc.array(fc.constantFrom(...pieces), { maxLength: 80 }).map((parts) => parts.join('')),
  fc.array(fc.constantFrom(...pieces.slice(0, 15)), { minLength: 5, maxLength: 6 }).map((parts) => parts.join(' ')),
  fc.constantFrom('*,'.repeat(99), '1-2/3,'.repeat(33), `${'9'.repeat(190)} * * * *`, `*${'/1'.repeat(90)} * * * *`),
);
const hostileRule = fc
  .array(fc.constantFrom(...ruleParts), { minLength: 1, maxLength: 7 })
  .map((parts) => parts.join(';'));
const zones = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('Europe/Berlin', 'Pacific/Apia', 'UTC') },
  fc.string({ maxLength: 80 }),
  fc.constantFrom(
    '',
    '+01:00',
    '../etc/passwd',
    'A'.repeat(10_000),
    '__proto__',
    'europe/berlin',
    'Etc/GMT+99',
    'Europe/Berlin\u0000',
  ),
);

/** Either works within its limits or throws the typed error. */
function outcome(act: () => unknown): 'answered' | 'refused' {
  try {
    act();
    return 'answered';
  } catch (error) {
    expect(error).toBeInstanceOf(FettleError);
    expect(['invalid-schedule', 'invalid-time-zone', 'invalid-time', 'limit-exceeded']).toContain(
      (error as FettleError).code,
    );
    expect((error as FettleError).message.length).toBeGreaterThan(10);
    return 'refused';
  }
}

function use(timing: ScheduleTiming): void {
  const recurrence = scheduleRecurrence(timing, 'default/x');
  expect(instants({ ...recurrence, from: '2026-03-28', count: 3 }).length).toBeLessThanOrEqual(3);
  previousInstant({ ...recurrence, before: '2026-03-28' });
  previewInstants({ ...recurrence, from: '2026-03-28', count: 1 });
}

describe(`hostile input, FETTLE_SEED=${seed}`, () => {
  it(`answers ${RUNS} texts for cron, zone, rule and time with instants or a typed error`, () => {
    const counts = { answered: 0, refused: 0 };
    const timing = fc.record<ScheduleTiming>(
      { cron: hostileText, rrule: hostileRule, at: hostileText, start: hostileText, timeZone: zones },
      { requiredKeys: ['timeZone'] },
    );
    fc.assert(
      fc.property(timing, (given) => {
        counts[outcome(() => use(given))] += 1;
        for (const { check } of timingChecks(given)) outcome(check);
      }),
      { numRuns: RUNS, seed },
    );
    expect(counts.refused).toBeGreaterThan(RUNS / 4);
  });

  it(`answers ${RUNS} rules made of real parts`, () => {
    const counts = { answered: 0, refused: 0 };
    fc.assert(
      fc.property(hostileRule, (rrule) => {
        counts[outcome(() => use({ rrule, timeZone: 'Europe/Berlin' }))] += 1;
      }),
      { numRuns: RUNS, seed },
    );
    expect(counts.answered).toBeGreaterThan(0);
  });

  it('ends a search that finds nothing', () => {
    for (const rule of [
      'FREQ=SECONDLY;INTERVAL=2;BYSECOND=1',
      'FREQ=SECONDLY;INTERVAL=86400;BYHOUR=5',
      'FREQ=MINUTELY;INTERVAL=2;BYMINUTE=1',
      'FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30',
      'FREQ=MONTHLY;BYDAY=MO;BYSETPOS=300',
      'FREQ=DAILY;BYMONTH=2;BYMONTHDAY=31',
    ]) {
      expect(() => parseRule(rule, 'UTC')).toThrow(expect.objectContaining({ code: 'invalid-schedule' }));
    }
    const everything = { cron: parseCron('* * * * * *'), timeZone: 'UTC', exclude: [{ cron: parseCron('* * * * *') }] };
    expect(instants({ ...everything, from: '2026-01-01', count: 1 })).toEqual([]);
    expect(previousInstant({ ...everything, before: '2026-01-01' })).toBeNull();
  });
});
