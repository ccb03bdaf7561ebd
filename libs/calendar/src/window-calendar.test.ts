import { describe, expect, it } from '@jest/globals';
import { calendarSpecSchema } from '@fettle/contracts';
import { anyGate, bothGates, gateOf, gateStretches, readCalendar } from './window-calendar.js';
import { calendarChecks } from './window-checks.js';
import type { CalendarGate } from './calendar-gate.js';

const read = (spec: object, site: string | null = null) => readCalendar('c', calendarSpecSchema.parse(spec), site);
/** Asked with its closing, as a plan does. */
const telling =
  (gate: CalendarGate): CalendarGate =>
  (atMs) =>
    gate(atMs, { closes: true });
const gate = (spec: object, site: string | null = null) => telling(gateOf([read(spec, site)]));
const at = (text: string): number => Date.parse(text);
const iso = (ms: number | null | undefined): string | null =>
  ms === null || ms === undefined ? null : new Date(ms).toISOString().slice(0, 16);

const night = { timeZone: 'Europe/Berlin', windows: [{ cron: '0 22 * * 2', duration: '4h', cutoff: '30m' }] };

describe('the gate of a calendar', () => {
  it('is open in its windows until their cutoff, and tells the next opening', () => {
    const open = gate(night);
    expect(open(at('2026-11-24T20:59:59Z'))).toMatchObject({ isOpen: false, reason: 'window', calendar: 'c' });
    expect(open(at('2026-11-24T21:00Z'))).toEqual({ isOpen: true, closesAtMs: at('2026-11-25T00:30Z') });
    expect(open(at('2026-11-25T00:29:59Z'))).toMatchObject({ isOpen: true });
    const closed = open(at('2026-11-25T00:30Z'));
    expect(closed).toEqual({ isOpen: false, reason: 'window', calendar: 'c', nextOpenMs: at('2026-12-01T21:00Z') });
  });

  it('reads the clock of a site where the calendar knows its zone', () => {
    const spec = { ...night, siteTimeZones: { nyc: 'America/New_York' } };
    expect(gate(spec, 'nyc')(at('2026-11-25T03:00Z'))).toMatchObject({ isOpen: true });
    expect(gate(spec, 'ber')(at('2026-11-25T03:00Z'))).toMatchObject({ isOpen: false });
  });

  it('is closed in a freeze and on a holiday, whatever its windows say, and opens after both', () => {
    const spec = {
      timeZone: 'Europe/Berlin',
      windows: [{ cron: '0 0 * * *', duration: '24h' }],
      freezes: [{ name: 'year end', from: '2026-12-20', to: '2026-12-24' }],
      holidays: [{ date: '2026-12-25' }, { rrule: 'FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=26' }],
    };
    const open = gate(spec);
    expect(open(at('2026-12-19T12:00Z'))).toEqual({ isOpen: true, closesAtMs: at('2026-12-19T23:00Z') });
    expect(open(at('2026-12-21T12:00Z'))).toMatchObject({ reason: 'freeze', nextOpenMs: at('2026-12-26T23:00Z') });
    expect(open(at('2026-12-26T12:00Z'))).toMatchObject({ reason: 'holiday', nextOpenMs: at('2026-12-26T23:00Z') });
    expect(open(at('2027-12-26T12:00Z'))).toMatchObject({ reason: 'holiday' });
    expect(open(at('2027-12-25T12:00Z'))).toMatchObject({ isOpen: true });
  });

  it('counts local days, however long the change of clocks makes them', () => {
    const spec = { timeZone: 'Europe/Berlin', freezes: [{ rrule: 'DTSTART:20261025\nRRULE:FREQ=YEARLY', days: 1 }] };
    const closed = gate(spec)(at('2026-10-25T12:00Z'));
    expect(iso(closed.isOpen ? null : closed.nextOpenMs)).toBe('2026-10-25T23:00');
    expect(gate(spec)(at('2026-10-24T22:00Z')).isOpen).toBe(false);
    expect(gate(spec)(at('2026-10-24T21:59Z')).isOpen).toBe(true);
  });

  it('is always open without windows, never again once all of them are over', () => {
    expect(gate({})(0)).toEqual({ isOpen: true });
    const once = gate({ windows: [{ at: '2026-01-01T00:00', duration: '1h' }] });
    expect(once(at('2026-02-01'))).toMatchObject({ isOpen: false, reason: 'window', nextOpenMs: null });
  });

  it('does not open in a window that a freeze covers whole', () => {
    const spec = { windows: [{ cron: '0 3 * * *', duration: '1h' }], freezes: [{ cron: '0 3 * * *', duration: '1h' }] };
    expect(gate(spec)(at('2026-02-01'))).toMatchObject({ isOpen: false, nextOpenMs: null });
  });
});

describe('a window whose cutoff leaves nothing of it on a short day', () => {
  const spec = { timeZone: 'Europe/Berlin', windows: [{ cron: '0 0 * * *', days: 1, cutoff: '23h' }] };

  it('opens on the next day', () => {
    // March 29 has 23 hours.
    const closed = gate(spec)(at('2026-03-28T12:00Z'));
    expect(closed).toMatchObject({ isOpen: false, nextOpenMs: at('2026-03-29T22:00Z') });
    expect(gate(spec)(at('2026-03-29T22:30Z'))).toMatchObject({ isOpen: true, closesAtMs: at('2026-03-29T23:00Z') });
  });
});

describe('several gates', () => {
  const days = gate({ windows: [{ cron: '0 8 * * *', duration: '8h' }] });
  const evenings = gate({ windows: [{ cron: '0 14 * * *', duration: '8h' }] });

  it('are open together where all are, or where any is', () => {
    const both = telling(bothGates([days, evenings]));
    expect(both(at('2026-02-01T15:00Z'))).toEqual({ isOpen: true, closesAtMs: at('2026-02-01T16:00Z') });
    expect(both(at('2026-02-01T09:00Z'))).toMatchObject({ isOpen: false, nextOpenMs: at('2026-02-01T14:00Z') });
    expect(both(at('2026-02-01T17:00Z'))).toMatchObject({ isOpen: false, nextOpenMs: at('2026-02-02T14:00Z') });
    const any = anyGate([days, evenings]);
    expect(any(at('2026-02-01T09:00Z'))).toMatchObject({ isOpen: true });
    expect(any(at('2026-02-01T23:00Z'))).toMatchObject({ isOpen: false, nextOpenMs: at('2026-02-02T08:00Z') });
    expect(any(at('2026-02-01T23:00Z'))).toMatchObject({ isOpen: false });
    expect(anyGate([])(0)).toEqual({ isOpen: true });
    expect(telling(any)(at('2026-02-01T15:00Z'))).toEqual({ isOpen: true, closesAtMs: at('2026-02-01T22:00Z') });
    expect(any(at('2026-02-01T15:00Z'))).toEqual({ isOpen: true });
  });

  it('that never meet tell no next opening', () => {
    const nights = gate({ windows: [{ cron: '0 0 * * *', duration: '2h' }] });
    expect(bothGates([days, nights])(at('2026-02-01T09:00Z'))).toMatchObject({ isOpen: false, nextOpenMs: null });
  });

  it('are shown as stretches without holes', () => {
    const stretches = gateStretches(days, at('2026-02-01T00:00Z'), at('2026-02-03T00:00Z'), 100);
    expect(stretches.map(({ fromMs, toMs, state }) => [iso(fromMs), iso(toMs), state.isOpen])).toEqual([
      ['2026-02-01T00:00', '2026-02-01T08:00', false],
      ['2026-02-01T08:00', '2026-02-01T16:00', true],
      ['2026-02-01T16:00', '2026-02-02T08:00', false],
      ['2026-02-02T08:00', '2026-02-02T16:00', true],
      ['2026-02-02T16:00', '2026-02-03T00:00', false],
    ]);
  });
});

describe('the checks of a calendar', () => {
  const wrong = (spec: object): string[] =>
    calendarChecks(calendarSpecSchema.parse(spec)).flatMap(({ path, check }) => {
      try {
        check();
        return [];
      } catch (error) {
        return [`${path.join('.')}: ${(error as Error).message}`];
      }
    });

  it('find each thing that is wrong where it stands', () => {
    expect(
      wrong({
        timeZone: 'Mars/Olympus',
        siteTimeZones: { ber: 'Berlin' },
        windows: [
          { cron: '99 * * * *', duration: '1h' },
          { cron: '0 1 * * *', duration: '1h', cutoff: '1h' },
        ],
        freezes: [{ from: '2026-02-02', to: '2026-02-01' }],
        holidays: [{ date: '2026-02-30' }],
      }).map((line) => line.slice(0, 40)),
    ).toEqual([
      expect.stringContaining('timeZone: '),
      expect.stringContaining('siteTimeZones.ber: '),
      expect.stringContaining('windows.0.cron: cron expression'),
      expect.stringContaining('windows.1.cron: the cutoff is as long'),
      expect.stringContaining('freezes.0.from: it ends before'),
      expect.stringContaining('holidays.0.date: '),
    ]);
  });

  it('refuse shapes that say two things or nothing', () => {
    const parse = (window: object): boolean => calendarSpecSchema.safeParse({ windows: [window] }).success;
    expect(parse({ cron: '0 1 * * *', duration: '1h' })).toBe(true);
    expect(parse({ cron: '0 1 * * *' })).toBe(false);
    expect(parse({ duration: '1h' })).toBe(false);
    expect(parse({ cron: '0 1 * * *', duration: '1h', days: 1 })).toBe(false);
    expect(parse({ cron: '0 1 * * *', rrule: 'FREQ=DAILY', days: 1 })).toBe(false);
    expect(parse({ from: '2026-01-01' })).toBe(false);
    expect(parse({ from: '2026-01-01', to: '2026-01-02', duration: '1h' })).toBe(false);
  });
});

// ---- against a model that walks minute by minute ----

const SEED = Number(process.env['FETTLE_SEED'] ?? 20261123);
const ROUNDS = process.env['FETTLE_LONG'] === '1' ? 400 : 8;
const MINUTE = 60_000;
const DAY = 86_400_000;

/** mulberry32. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Zone, and a moment of a change of its clocks: by an hour, by half an hour, at midnight, of a whole day. */
const CHANGES: readonly (readonly [string, string])[] = [
  ['Europe/Berlin', '2026-03-29T01:00Z'],
  ['Europe/Berlin', '2026-10-25T01:00Z'],
  ['America/New_York', '2026-03-08T07:00Z'],
  ['America/New_York', '2026-11-01T06:00Z'],
  ['Australia/Lord_Howe', '2026-04-04T15:00Z'],
  ['Australia/Lord_Howe', '2026-10-03T15:30Z'],
  ['Africa/Cairo', '2026-04-23T22:00Z'],
  ['UTC', '2026-06-01T00:00Z'],
];

interface Daily {
  readonly minute: number;
  readonly weekdays: readonly number[];
  readonly lengthMin: number;
  readonly cutoffMin: number;
}

/** Which minutes a daily window is open: each local minute is read off the clock of the zone, and nothing is computed from a rule. */
function openMinutes(
  zone: string,
  fromMs: number,
  toMs: number,
  { minute, weekdays, lengthMin, cutoffMin }: Daily,
): Set<number> {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    hourCycle: 'h23',
    weekday: 'short',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
  });
  const names = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
  const begun = new Set<string>();
  const open = new Set<number>();
  let previous: { date: string; minutes: number } | null = null;
  for (let ms = fromMs - 3 * DAY; ms < toMs; ms += MINUTE) {
    const parts = Object.fromEntries(format.formatToParts(ms).map(({ type, value }) => [type, value]));
    const date = `${parts['year']}-${parts['month']}-${parts['day']}`;
    const minutes = Number(parts['hour']) * 60 + Number(parts['minute']);
    const isWanted = weekdays.includes(names.indexOf(parts['weekday'] ?? ''));
    // The clock jumps over it: it comes as much later as the jump is long.
    const before: number | null = previous === null ? null : previous.date === date ? previous.minutes : -1;
    const jump = before === null ? 0 : minutes - before - 1;
    const jumped = jump > 0 && before !== null && minute > before && minute < minutes ? minute : null;
    if (isWanted && (minutes === minute || jumped !== null) && !begun.has(date)) {
      begun.add(date);
      const beginMs = jumped === null ? ms : ms + (jumped + jump - minutes) * MINUTE;
      for (let length = 0; length < lengthMin - cutoffMin; length += 1) open.add(beginMs + length * MINUTE);
    }
    previous = { date, minutes };
  }
  return open;
}

describe(`gates against a model that walks minute by minute (seed ${SEED})`, () => {
  it(`agree in all minutes of the days around changes of clocks, ${ROUNDS} calendars`, () => {
    const next = random(SEED);
    const pick = (max: number): number => Math.floor(next() * max);
    for (let round = 0; round < ROUNDS; round += 1) {
      const [zone, change] = CHANGES[round % CHANGES.length] ?? ['UTC', '2026-01-01'];
      const fromMs = at(change) - 36 * 60 * MINUTE;
      const toMs = at(change) + 36 * 60 * MINUTE;
      const daily = (): Daily => {
        const lengthMin = 10 + pick(900);
        const all = [0, 1, 2, 3, 4, 5, 6].filter(() => next() < 0.7);
        const weekdays = all.length === 0 ? [0] : all;
        return { minute: pick(1440), weekdays, lengthMin, cutoffMin: pick(Math.min(lengthMin, 60)) };
      };
      const windows = Array.from({ length: pick(4) }, daily);
      const freezes = Array.from({ length: pick(3) }, () => ({ ...daily(), cutoffMin: 0, lengthMin: 5 + pick(300) }));
      const write = ({ minute, weekdays, lengthMin }: Daily) => ({
        cron: `${minute % 60} ${Math.floor(minute / 60)} * * ${weekdays.join(',')}`,
        duration: `${lengthMin}m`,
      });
      const spec = {
        timeZone: zone,
        windows: windows.map((one) => ({ ...write(one), cutoff: `${one.cutoffMin}m` })).map(withoutZeroCutoff),
        freezes: freezes.map(write),
      };
      compare(spec, zone, { fromMs, toMs, windows, freezes });
    }
  }, 300_000);
});

function withoutZeroCutoff<Window extends { cutoff: string }>(window: Window): object {
  const { cutoff, ...rest } = window;
  return cutoff === '0m' ? rest : window;
}

function compare(
  spec: object,
  zone: string,
  { fromMs, toMs, windows, freezes }: { fromMs: number; toMs: number; windows: Daily[]; freezes: Daily[] },
): void {
  const ask = gate(spec);
  const horizonMs = toMs + 2 * DAY;
  const open = windows.map((one) => openMinutes(zone, fromMs, horizonMs, one));
  const shut = freezes.map((one) => openMinutes(zone, fromMs, horizonMs, one));
  const isOpenAt = (ms: number): boolean =>
    (open.length === 0 || open.some((set) => set.has(ms))) && !shut.some((set) => set.has(ms));
  // Walked backwards, so that the next change of each minute is known.
  let changesMs: number | null = null;
  const next = new Map<number, number | null>();
  for (let ms = horizonMs - MINUTE; ms >= fromMs; ms -= MINUTE) {
    if (ms + MINUTE < horizonMs && isOpenAt(ms) !== isOpenAt(ms + MINUTE)) changesMs = ms + MINUTE;
    next.set(ms, changesMs);
  }
  for (let ms = fromMs; ms < toMs; ms += MINUTE) {
    const state = ask(ms);
    const told = state.isOpen ? (state.closesAtMs ?? null) : state.nextOpenMs;
    const expected = next.get(ms) ?? null;
    const right =
      state.isOpen === isOpenAt(ms) && (expected === null ? told === null || told >= horizonMs : told === expected);
    if (right) continue;
    throw new Error(
      `at ${iso(ms)}: ${JSON.stringify(state)}, the model says open=${isOpenAt(ms)} until ${iso(expected)}; ${JSON.stringify(spec)}`,
    );
  }
}
