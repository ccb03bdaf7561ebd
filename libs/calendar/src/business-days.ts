import { DAY_MS } from './days.js';
import type { LocalTimes } from './local-times.js';

/** Which days are worked on: all but the days of the weekend and the holidays. */
export interface BusinessDays {
  /** 0 (Sunday) to 6. */
  readonly weekend: readonly number[];
  /** Days since 1970. */
  readonly holidays: ReadonlySet<number>;
}

/** Where an instant goes whose local day is no business day. */
export type RollDirection = 'next' | 'previous';

/** Longest stretch without a business day: a day that has none within it has none. */
export const MAX_STRETCH_DAYS = 366;
/** Last month that is looked at, as months since 1970: the year 2300. */
const MAX_MONTH = 330 * 12;
/** As far as other recurrences look: 84 years. */
const MAX_MONTHS_SEARCHED = 84 * 12;

export function isBusinessDay({ weekend, holidays }: BusinessDays, day: number): boolean {
  return !weekend.includes(weekdayOf(day)) && !holidays.has(day);
}

/** Day of the week, 0 (Sunday) to 6, of a day since 1970 (a Thursday). */
function weekdayOf(day: number): number {
  return (((day + 4) % 7) + 7) % 7;
}

/** The first business day from `day` on (it may be that day), or the last one up to it; null where there is none near. */
export function nearestBusinessDay(days: BusinessDays, day: number, direction: RollDirection): number | null {
  const step = direction === 'next' ? 1 : -1;
  for (let moved = 0; moved <= MAX_STRETCH_DAYS; moved += 1) {
    if (isBusinessDay(days, day + moved * step)) return day + moved * step;
  }
  return null;
}

/** The business day that lies `count` business days after a day (before, where negative); 0 is the day itself. Null: none near. */
export function addBusinessDays(days: BusinessDays, day: number, count: number): number | null {
  const direction: RollDirection = count < 0 ? 'previous' : 'next';
  const step = count < 0 ? -1 : 1;
  let found: number | null = day;
  for (let left = Math.abs(count); left > 0 && found !== null; left -= 1)
    found = nearestBusinessDay(days, found + step, direction);
  return found;
}

/**
 * The how many-th business day of a month (from its end where negative), as days since 1970; null where it has not so many.
 * @param month months since January 1970
 */
export function nthBusinessDay(days: BusinessDays, month: number, nth: number): number | null {
  const [first, end] = [firstDayOf(month), firstDayOf(month + 1)];
  const step = nth < 0 ? -1 : 1;
  let left = Math.abs(nth);
  for (let day = nth < 0 ? end - 1 : first; day >= first && day < end; day += step) {
    if (isBusinessDay(days, day)) left -= 1;
    if (left === 0) return day;
  }
  return null;
}

function firstDayOf(month: number): number {
  return Date.UTC(1970 + Math.floor(month / 12), ((month % 12) + 12) % 12, 1) / DAY_MS;
}

function monthOf(day: number): number {
  const date = new Date(day * DAY_MS);
  return (date.getUTCFullYear() - 1970) * 12 + date.getUTCMonth();
}

/** On business days of months, by their number. */
export interface MonthlySchedule {
  /** 1 is the first, -1 the last. */
  readonly nths: readonly number[];
  /** 0 to 11; null: each. */
  readonly months: readonly number[] | null;
  /** Milliseconds since the day began, ascending. */
  readonly timesOfDayMs: readonly number[];
  readonly days: BusinessDays;
}

export class MonthlyTimes implements LocalTimes {
  readonly followsElapsedTime = false;
  readonly #schedule: MonthlySchedule;

  constructor(schedule: MonthlySchedule) {
    this.#schedule = schedule;
  }

  nextDay(day: number): number | null {
    const month = monthOf(day);
    for (let one = month; one <= Math.min(month + MAX_MONTHS_SEARCHED, MAX_MONTH); one += 1) {
      const found = this.#daysOf(one).find((candidate) => candidate >= day);
      if (found !== undefined) return found;
    }
    return null;
  }

  previousDay(day: number): number | null {
    const month = monthOf(day);
    for (let one = month; one >= month - MAX_MONTHS_SEARCHED; one -= 1) {
      const found = this.#daysOf(one).findLast((candidate) => candidate <= day);
      if (found !== undefined) return found;
    }
    return null;
  }

  *times(fromMs: number, toMs: number): Generator<number> {
    let day = this.nextDay(Math.floor(fromMs / DAY_MS));
    for (; day !== null && day * DAY_MS < toMs; day = this.nextDay(day + 1)) {
      for (const ofDay of this.#schedule.timesOfDayMs) {
        const timeMs = day * DAY_MS + ofDay;
        if (timeMs >= toMs) return;
        if (timeMs >= fromMs) yield timeMs;
      }
    }
  }

  /** Ascending, none twice: the third and the last but eighteenth may be one. */
  #daysOf(month: number): number[] {
    const { nths, months, days } = this.#schedule;
    if (months !== null && !months.includes(((month % 12) + 12) % 12)) return [];
    const found = nths.map((nth) => nthBusinessDay(days, month, nth)).filter((day) => day !== null);
    return [...new Set(found)].sort((left, right) => left - right);
  }
}

/**
 * The times of another schedule, those on a day that is no business day moved to the next (or the previous) one, with the same time of
 * day; two that meet are one.
 */
export class RolledTimes implements LocalTimes {
  readonly followsElapsedTime = false;
  readonly #base: LocalTimes;
  readonly #days: BusinessDays;
  readonly #direction: RollDirection;

  constructor(base: LocalTimes, days: BusinessDays, direction: RollDirection) {
    this.#base = base;
    this.#days = days;
    this.#direction = direction;
  }

  nextDay(day: number): number | null {
    // Days before the first of the stretch that rolls onto `day` or later end up before it.
    const from = this.#direction === 'next' ? this.#business(day - 1, 'previous', 1) : this.#business(day, 'next', 0);
    const base = from === null ? null : this.#base.nextDay(from);
    return base === null ? null : nearestBusinessDay(this.#days, base, this.#direction);
  }

  previousDay(day: number): number | null {
    const to = this.#direction === 'next' ? this.#business(day, 'previous', 0) : this.#business(day + 1, 'next', -1);
    const base = to === null ? null : this.#base.previousDay(to);
    return base === null ? null : nearestBusinessDay(this.#days, base, this.#direction);
  }

  *times(fromMs: number, toMs: number): Generator<number> {
    let day = this.nextDay(Math.floor(fromMs / DAY_MS));
    for (; day !== null && day * DAY_MS < toMs; day = this.nextDay(day + 1)) {
      for (const timeMs of this.#timesOf(day)) {
        if (timeMs >= toMs) return;
        if (timeMs >= fromMs) yield timeMs;
      }
    }
  }

  /** Those of the day itself, and of the days without business that roll onto it. */
  #timesOf(day: number): number[] {
    const found = new Set<number>();
    const step = this.#direction === 'next' ? -1 : 1;
    for (let moved = 0; moved <= MAX_STRETCH_DAYS; moved += 1) {
      const one = day + moved * step;
      if (moved > 0 && isBusinessDay(this.#days, one)) break;
      for (const timeMs of this.#base.times(one * DAY_MS, (one + 1) * DAY_MS))
        found.add(timeMs - moved * step * DAY_MS);
    }
    return [...found].sort((left, right) => left - right);
  }

  #business(day: number, direction: RollDirection, plus: number): number | null {
    const found = nearestBusinessDay(this.#days, day, direction);
    return found === null ? null : found + plus;
  }
}
