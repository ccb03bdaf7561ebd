import { describe, expect, it } from '@jest/globals';
import { scheduleRecurrence, type ScheduleTiming } from './schedule-recurrence.js';
import { compareWaking, EXPLICIT_ENTRIES, wakingSpec } from './waking.js';

const now = '2026-03-20T12:00:00Z';
const told = 10;

function recurrenceOf(timing: Partial<ScheduleTiming>) {
  return scheduleRecurrence({ timeZone: 'Europe/Berlin', ...timing }, 'default/test');
}

const spec = (timing: Partial<ScheduleTiming>) => wakingSpec(recurrenceOf(timing), now);

describe('wakingSpec', () => {
  it('gives Temporal a rule where it can express it', () => {
    const { waking, placedUntil } = spec({ cron: '0 4 * * 1-5' });
    expect(placedUntil).toBeNull();
    expect(waking).toMatchObject({ timeZone: 'Europe/Berlin', interval: null, entries: [] });
    expect(waking.times).toMatchObject([{ minutes: [0], hours: [4], daysOfMonth: null, daysOfWeek: [1, 2, 3, 4, 5] }]);
    expect(spec({ every: '90s', phase: '5s' }).waking).toMatchObject({ interval: { everyMs: 90_000, phaseMs: 5_000 } });
  });

  it('ends before its end, which here is exclusive and there inclusive', () => {
    const { waking } = spec({ cron: '0 0 * * *', timeZone: 'UTC', end: '2026-04-01' });
    expect(waking.end).toBe('2026-04-01T23:59:59Z');
  });

  it('makes two rules of days that are either-or', () => {
    expect(spec({ cron: '0 4 13 * 5' }).waking.times).toMatchObject([
      { daysOfMonth: [13], daysOfWeek: null },
      { daysOfMonth: null, daysOfWeek: [5] },
    ]);
  });

  it('places beside the rule what a change of clocks shifts', () => {
    expect(spec({ cron: '30 2 * * *' }).waking.entries).toEqual(['2026-03-29T01:30:00Z', '2027-03-28T01:30:00Z']);
    expect(spec({ cron: '30 2 * * *', dst: { gap: 'skip', overlap: 'first' } }).waking.entries).toEqual([]);
    expect(spec({ cron: '30 * * * *' }).waking.entries).toEqual([]);
    expect(spec({ cron: '15 2 * * *', timeZone: 'Australia/Lord_Howe' }).waking.entries).toEqual([
      '2026-10-03T15:45:00Z',
    ]);
  });

  it('places single instants where there is no rule', () => {
    for (const timing of [
      { cron: '0 4 L * *' },
      { cron: '0 4 15W * *' },
      { cron: '0 4 * * 2#1' },
      { cron: '0 4 * * *', jitter: '10m' },
      { every: '1h', jitter: '10m' },
      { cron: '0 4 1 * *', roll: 'next' },
      { monthly: { businessDay: [1, -1], time: '04:00' } },
      { rrule: 'FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=4;BYMINUTE=0;BYSECOND=0' },
    ] satisfies Partial<ScheduleTiming>[]) {
      const { waking, placedUntil } = spec(timing);
      expect(waking).toMatchObject({ timeZone: 'UTC', times: [], interval: null });
      expect(waking.entries).toHaveLength(EXPLICIT_ENTRIES);
      expect(placedUntil).toBe(waking.entries.at(-1));
    }
    expect(spec({ at: '2026-04-01T02:00' })).toMatchObject({
      waking: { entries: ['2026-04-01T00:00:00Z'] },
      placedUntil: null,
    });
  });
});

describe('compareWaking', () => {
  const at = (text: string): number => Date.parse(text);
  const daily = recurrenceOf({ cron: '30 2 * * *' });
  const days = (...texts: string[]): number[] => texts.map((text) => at(`2026-03-${text}Z`));
  const winter = days('21T01:30:00', '22T01:30:00', '23T01:30:00', '24T01:30:00', '25T01:30:00');
  const compare = (wakings: readonly number[], recurrence = daily) => compareWaking(recurrence, wakings, { now, told });

  it('agrees where they agree, and about what is skipped', () => {
    const all = [...winter, ...days('26T01:30:00', '27T01:30:00', '28T01:30:00', '29T01:30:00', '30T00:30:00')];
    expect(compare(all)).toBeNull();
    const without = recurrenceOf({ cron: '30 2 * * *', exclude: [{ date: '2026-03-22' }] });
    expect(compare(all, without)).toBeNull();
  });

  it('names what is missing and what is too much', () => {
    const all = [...winter, ...days('26T01:30:00', '27T01:30:00', '28T01:30:00', '30T00:30:00', '31T00:30:00')];
    expect(compare(all)).toEqual({ missing: ['2026-03-29T01:30:00Z'], extra: [], isDue: true });
    expect(compare([])?.missing).toHaveLength(10);
    expect(compare(winter.slice(1))).toMatchObject({
      isDue: false,
      missing: expect.arrayContaining(['2026-03-21T01:30:00Z']),
    });
    const more = [at('2026-03-20T15:00:00Z'), ...all.slice(0, 8), at('2026-03-29T01:30:00Z')];
    expect(compare(more)).toEqual({ missing: [], extra: ['2026-03-20T15:00:00Z'], isDue: false });
  });

  it('leaves out what is so near that one side may have done it already', () => {
    const minutely = recurrenceOf({ cron: '* * * * *' });
    const wakings = Array.from({ length: 10 }, (_, index) => at('2026-03-20T12:01:00Z') + index * 60_000);
    expect(compareWaking(minutely, wakings.slice(1), { now: '2026-03-20T12:00:59Z', told: 10 })).toMatchObject({
      missing: ['2026-03-20T12:11:00Z'],
    });
    expect(compareWaking(minutely, wakings, { now: '2026-03-20T12:00:59Z', told })).toBeNull();
  });
});
