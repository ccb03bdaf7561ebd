import { describe, expect, it } from '@jest/globals';
import { DateTime } from 'luxon';
import { parseCron } from './cron.js';
import { instants } from './instants.js';

const QUARTER_MS = 15 * 60_000;
const DAY_MS = 86_400_000;

/** Days (UTC) of 2026 in which the clock of a zone is moved, by luxon: weeks first, since changes are further apart than that. */
function changes(zone: string): number[] {
  const offset = (ms: number): number => DateTime.fromMillis(ms, { zone }).offset;
  const found: number[] = [];
  for (let weekMs = Date.UTC(2026, 0, 1); weekMs < Date.UTC(2027, 0, 1); weekMs += 7 * DAY_MS) {
    if (offset(weekMs) === offset(weekMs + 7 * DAY_MS)) continue;
    for (let dayMs = weekMs; dayMs < weekMs + 7 * DAY_MS; dayMs += DAY_MS) {
      if (offset(dayMs) !== offset(dayMs + DAY_MS)) found.push(dayMs);
    }
  }
  return found;
}

describe('every zone around each change of 2026, against the wall clock that luxon shows', () => {
  // One zone for each distinct pair of changes: the others move their clocks at the same instants by the same amount.
  const distinct = new Map<string, { zone: string; days: number[] }>();
  for (const zone of Intl.supportedValuesOf('timeZone')) {
    const days = changes(zone);
    const offset = DateTime.fromMillis(Date.UTC(2026, 0, 1), { zone }).offset;
    if (days.length > 0) distinct.set(`${offset} ${days.join()}`, { zone, days });
  }
  const zones = [...distinct.values()];

  it('finds zones', () => {
    expect(zones.length).toBeGreaterThan(20);
  });

  it.each([
    ['0,15,30,45 0-5,22,23 * * *', (hour: number) => hour <= 5 || hour >= 22],
    ['*/15 */2 * * *', (hour: number) => hour % 2 === 0],
  ] as const)('%s fires where the clock shows it, once or twice', (expression, isHour) => {
    for (const { zone, days } of zones) {
      for (const dayMs of days) {
        const [from, to] = [dayMs - DAY_MS, dayMs + 2 * DAY_MS];
        const shown: string[] = [];
        for (let atMs = from; atMs < to; atMs += QUARTER_MS) {
          if (isHour(DateTime.fromMillis(atMs, { zone }).hour))
            shown.push(`${new Date(atMs).toISOString().slice(0, 19)}Z`);
        }
        const ours = instants({ cron: parseCron(expression), timeZone: zone, from, to, gap: 'skip', overlap: 'both' });
        expect([zone, ours.map(({ at }) => at)]).toEqual([zone, shown]);
      }
    }
  });

  it('with the defaults, a daily time comes once for each local day, whatever the clock does', () => {
    for (const { zone, days } of zones) {
      for (const minute of [0, 30]) {
        for (const hour of [0, 1, 2, 3, 23]) {
          for (const dayMs of days) {
            const from = DateTime.fromMillis(dayMs - 2 * DAY_MS, { zone }).startOf('day');
            const to = from.plus({ days: 5 });
            const cron = parseCron(`${minute} ${hour} * * *`);
            const found = instants({ cron, timeZone: zone, from: from.toMillis(), to: to.toMillis() });
            // A time that Greenland's clock jumps over at 23:00 is shifted into the next day, but it is that day's one fire.
            const dates = found.map(({ local, note }) =>
              note === 'gap-shifted' && Number(local.slice(11, 13)) < hour ? 'next' : local.slice(0, 10),
            );
            const expected = [0, 1, 2, 3, 4].map((day) => from.plus({ days: day }).toISODate());
            expect([zone, hour, minute, dates.length, dates.filter((date) => date !== 'next')]).toEqual([
              zone,
              hour,
              minute,
              5,
              expected.filter((_, index) => dates[index] !== 'next'),
            ]);
          }
        }
      }
    }
  });
});
