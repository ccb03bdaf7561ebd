import { describe, expect, it } from '@jest/globals';
import { CronExpressionParser } from 'cron-parser';
import fc from 'fast-check';
import { parseCron } from './cron.js';
import { instants, nextInstants, previousInstant } from './instants.js';
import type { GapPolicy, OverlapPolicy } from './recurrence.js';
import type { Time } from './time.js';

const runs = process.env['FETTLE_LONG'] === '1' ? 1000 : 100;

interface Options {
  readonly from: Time;
  readonly to?: Time;
  readonly count?: number;
  readonly gap?: GapPolicy;
  readonly overlap?: OverlapPolicy;
}

/** `local note` of each instant. */
function list(expression: string, timeZone: string, options: Options): string[] {
  return instants({ cron: parseCron(expression), timeZone, ...options }).map(({ local, note }) =>
    `${local} ${note}`.trim(),
  );
}

const expressions = fc.constantFrom(
  '30 2 * * *',
  '0 0 * * *',
  '15,45 1-3 * * *',
  '*/7 * * * *',
  '0 */2 * * *',
  '*/20 30 2 * * *',
  '0 12 1,15 * 5',
  '59 23 31 12 *',
  '0 3 29 2 *',
  '*/15 0-4 * * SUN',
);
const changingZones = fc.constantFrom(
  'Europe/Berlin',
  'America/New_York',
  'Australia/Lord_Howe',
  'Africa/Casablanca',
  'Pacific/Apia',
  'America/Sao_Paulo',
  'Asia/Gaza',
  'America/St_Johns',
  'Antarctica/Troll',
  'UTC',
);
const gaps = fc.constantFrom('shift' as const, 'skip' as const);
const overlaps = fc.constantFrom('first' as const, 'last' as const, 'both' as const);
const time = fc
  .integer({ min: Date.UTC(2010, 0, 1) / 1000, max: Date.UTC(2030, 0, 1) / 1000 })
  .map((seconds) => seconds * 1000);

describe('instants where clocks change', () => {
  it('shifts a time in a gap by the length of the gap, or skips it', () => {
    const days = { from: '2026-03-28', to: '2026-03-31' };
    expect(list('30 2 * * *', 'Europe/Berlin', days)).toEqual([
      '2026-03-28T02:30:00+01:00',
      '2026-03-29T03:30:00+02:00 gap-shifted',
      '2026-03-30T02:30:00+02:00',
    ]);
    expect(list('30 2 * * *', 'Europe/Berlin', { ...days, gap: 'skip' })).toEqual([
      '2026-03-28T02:30:00+01:00',
      '2026-03-30T02:30:00+02:00',
    ]);
    expect(list('15 2 * * *', 'Australia/Lord_Howe', { from: '2026-10-03', count: 1 })).toEqual([
      '2026-10-04T02:45:00+11:00 gap-shifted',
    ]);
    expect(list('30 2 * * *', 'America/New_York', { from: '2026-03-08', count: 1 })).toEqual([
      '2026-03-08T03:30:00-04:00 gap-shifted',
    ]);
  });

  it('makes one of two instants that meet', () => {
    expect(list('30 2,3 * * *', 'Europe/Berlin', { from: '2026-03-29', to: '2026-03-30' })).toEqual([
      '2026-03-29T03:30:00+02:00',
    ]);
  });

  it('fires at the first, the last or both of a time that comes twice', () => {
    const day = { from: '2026-10-24T22:00:00Z', to: '2026-10-25T23:00:00Z' };
    expect(list('30 2 * * *', 'Europe/Berlin', day)).toEqual(['2026-10-25T02:30:00+02:00 overlap-first']);
    expect(list('30 2 * * *', 'Europe/Berlin', { ...day, overlap: 'last' })).toEqual([
      '2026-10-25T02:30:00+01:00 overlap-last',
    ]);
    expect(list('30 2 * * *', 'Europe/Berlin', { ...day, overlap: 'both' })).toEqual([
      '2026-10-25T02:30:00+02:00 overlap-first',
      '2026-10-25T02:30:00+01:00 overlap-last',
    ]);
    expect(
      list('45 1 * * *', 'Australia/Lord_Howe', { from: '2026-04-04T00:00:00Z', count: 1, overlap: 'last' }),
    ).toEqual(['2026-04-05T01:45:00+10:30 overlap-last']);
  });

  it('follows elapsed time where the hour field begins with *', () => {
    expect(list('30 * * * *', 'Europe/Berlin', { from: '2026-10-24T23:00:00Z', count: 4, overlap: 'last' })).toEqual([
      '2026-10-25T01:30:00+02:00',
      '2026-10-25T02:30:00+02:00 overlap-first',
      '2026-10-25T02:30:00+01:00 overlap-last',
      '2026-10-25T03:30:00+01:00',
    ]);
    expect(list('30 */1 * * *', 'Europe/Berlin', { from: '2026-03-29T00:00:00Z', count: 2 })).toEqual([
      '2026-03-29T01:30:00+01:00',
      '2026-03-29T03:30:00+02:00',
    ]);
    expect(list('0 */2 * * *', 'Europe/Berlin', { from: '2026-03-28T23:00:00Z', count: 2 })).toEqual([
      '2026-03-29T00:00:00+01:00',
      '2026-03-29T04:00:00+02:00',
    ]);
  });

  it('knows a day that a zone left out, gaps at midnight and clocks that stop twice a year', () => {
    expect(list('0 10 * * *', 'Pacific/Apia', { from: '2011-12-29', count: 3 })).toEqual([
      '2011-12-29T10:00:00-10:00',
      '2011-12-31T10:00:00+14:00',
      '2012-01-01T10:00:00+14:00',
    ]);
    expect(list('0 10 30 12 *', 'Pacific/Apia', { from: '2011-01-01', to: '2012-01-01' })).toEqual([
      '2011-12-31T10:00:00+14:00 gap-shifted',
    ]);
    expect(list('0 10 30 12 *', 'Pacific/Apia', { from: '2011-01-01', to: '2012-01-01', gap: 'skip' })).toEqual([]);
    expect(list('0 0 * * *', 'America/Sao_Paulo', { from: '2018-11-04', count: 2 })).toEqual([
      '2018-11-04T01:00:00-02:00 gap-shifted',
      '2018-11-05T00:00:00-02:00',
    ]);
    expect(
      list('30 23 * * *', 'America/Sao_Paulo', { from: '2019-02-16T12:00:00Z', count: 2, overlap: 'both' }),
    ).toEqual(['2019-02-16T23:30:00-02:00 overlap-first', '2019-02-16T23:30:00-03:00 overlap-last']);
    // Morocco leaves its summer time for Ramadan: in 2026 from 15 February to 22 March.
    expect(list('30 2 15 2 *', 'Africa/Casablanca', { from: '2026-01-01', count: 1 })).toEqual([
      '2026-02-15T02:30:00+01:00 overlap-first',
    ]);
    expect(list('30 2 22 3 *', 'Africa/Casablanca', { from: '2026-01-01', count: 1 })).toEqual([
      '2026-03-22T03:30:00+01:00 gap-shifted',
    ]);
  });
});

describe('instants', () => {
  it('finds leap days across the end of a century and the last instant before a time', () => {
    expect(list('0 0 29 2 *', 'UTC', { from: '2096-03-01', count: 2 })).toEqual([
      '2104-02-29T00:00:00+00:00',
      '2108-02-29T00:00:00+00:00',
    ]);
    const cron = parseCron('0 0 29 2 *');
    expect(previousInstant({ cron, timeZone: 'UTC', before: '2104-02-29T00:00:00Z' })?.at).toBe('2096-02-29T00:00:00Z');
    expect(nextInstants({ cron, timeZone: 'UTC', after: '2028-02-29', count: 1 })[0]?.at).toBe('2032-02-29T00:00:00Z');
  });

  it('counts a day that matches either of two restricted day fields', () => {
    expect(list('0 0 13 * 5', 'UTC', { from: '2026-11-01', to: '2026-12-01' })).toEqual(
      ['06', '13', '20', '27'].map((day) => `2026-11-${day}T00:00:00+00:00`),
    );
    expect(list('0 0 1 * 0', 'UTC', { from: '2026-12-01', to: '2026-12-08' })).toEqual([
      '2026-12-01T00:00:00+00:00',
      '2026-12-06T00:00:00+00:00',
    ]);
  });

  it('refuses zones that are none, with a suggestion, and times that are none', () => {
    const at =
      (timeZone: string): (() => unknown) =>
      () =>
        list('* * * * *', timeZone, { from: '2026-01-01', count: 1 });
    expect(at('europe/berlin')).toThrow('did you mean "Europe/Berlin"');
    expect(at('Berlin')).toThrow('did you mean "Europe/Berlin"');
    expect(at('Europe/Berln')).toThrow('did you mean "Europe/Berlin"');
    for (const zone of ['', '+01:00', 'Nowhere', '../etc/passwd', 'A'.repeat(10_000), '__proto__']) {
      expect(at(zone)).toThrow(expect.objectContaining({ code: 'invalid-time-zone' }));
    }
    expect(at('US/Eastern')).not.toThrow();
    for (const from of ['tomorrow', '2026-13-01', '2026-01-01T25:00:00Z', '', '0001-01-01', Number.NaN]) {
      expect(() => list('* * * * *', 'UTC', { from, count: 1 })).toThrow(
        expect.objectContaining({ code: 'invalid-time' }),
      );
    }
    expect(() => list('* * * * *', 'UTC', { from: '2026-01-01', to: '2027-01-01' })).toThrow(
      expect.objectContaining({ code: 'limit-exceeded' }),
    );
  });

  it('reads a time without offset as UTC', () => {
    for (const from of [
      '2026-01-01',
      '2026-01-01T00:00',
      '2026-01-01 00:00:00',
      '2026-01-01T02:00:00+02:00',
      new Date('2026-01-01'),
      Date.UTC(2026, 0, 1),
    ]) {
      expect(list('* * * * *', 'UTC', { from, count: 1 })).toEqual(['2026-01-01T00:00:00+00:00']);
    }
  });

  it(`ascends, repeats nothing, and is the same however the range is cut, ${runs} times`, () => {
    fc.assert(
      fc.property(
        expressions,
        changingZones,
        time,
        fc.integer({ min: 1, max: 6 * 86_400_000 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        gaps,
        overlaps,
        (expression, timeZone, from, lengthMs, share, gap, overlap) => {
          const query = { cron: parseCron(expression), timeZone, gap, overlap };
          const to = from + lengthMs;
          const cut = from + Math.floor(lengthMs * share);
          const whole = instants({ ...query, from, to });
          expect(
            JSON.stringify([...instants({ ...query, from, to: cut }), ...instants({ ...query, from: cut, to })]),
          ).toBe(JSON.stringify(whole));
          const ascending = whole.map((instant) => Date.parse(instant.at));
          expect(ascending.join()).toBe([...new Set(ascending)].sort((a, b) => a - b).join());
          expect(whole.filter((instant) => Date.parse(instant.local) !== Date.parse(instant.at))).toEqual([]);
          expect(
            JSON.stringify(instants({ ...query, from, count: Math.max(1, whole.length) }).slice(0, whole.length)),
          ).toBe(JSON.stringify(whole));
          const last = previousInstant({ ...query, before: to });
          if (whole.length > 0) expect(last).toEqual(whole.at(-1));
          else if (last) expect(Date.parse(last.at)).toBeLessThan(from);
        },
      ),
      { numRuns: runs, seed: 7, verbose: 1 },
    );
  });

  it(`has the instants of cron-parser where clocks never change, ${runs} times`, () => {
    const field = (min: number, max: number): fc.Arbitrary<string> =>
      fc.oneof(
        { weight: 3, arbitrary: fc.constant('*') },
        fc.integer({ min, max }).map(String),
        fc
          .tuple(fc.integer({ min, max }), fc.integer({ min, max }))
          .map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`),
        fc.integer({ min: 2, max: Math.floor((max - min) / 2) }).map((step) => `*/${step}`),
        fc.uniqueArray(fc.integer({ min, max }), { minLength: 1, maxLength: 3 }).map((values) => values.join(',')),
      );
    const expression = fc
      .tuple(field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6))
      .map((fields) => fields.join(' '));
    fc.assert(
      fc.property(
        expression,
        fc.constantFrom('UTC', 'Asia/Tokyo', 'Asia/Kolkata', 'America/Phoenix', 'Pacific/Kiritimati'),
        time,
        (text, timeZone, from) => {
          const theirs = CronExpressionParser.parse(text, { tz: timeZone, currentDate: new Date(from) });
          const ours = nextInstants({ cron: parseCron(text), timeZone, after: from, count: 5 });
          expect(ours.map(({ at }) => Date.parse(at))).toEqual(ours.map(() => theirs.next().getTime()));
          expect(ours).toHaveLength(5);
        },
      ),
      { numRuns: runs, seed: 11, verbose: 1 },
    );
  });
});
