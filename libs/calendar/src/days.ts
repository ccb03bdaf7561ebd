import type { CronSchedule } from './cron.js';
import { specialDaysOfMonth, specialDaysOfWeek } from './cron-special.js';

export const DAY_MS = 86_400_000;
/** Leap days are at most eight years apart, a fifth Monday of February at most forty; the margin is for days that fall into gaps. */
export const MAX_SEARCH_YEARS = 84;
const MAX_SEARCH_MONTHS = 12 * MAX_SEARCH_YEARS;

/** Day of month 1 is bit 1. */
function matchingDaysOfMonth(cron: CronSchedule, year: number, monthIndex: number): number {
  if (!cron.months.includes(monthIndex + 1)) return 0;
  const length = new Date(Date.UTC(year, monthIndex + 1, 0)).getUTCDate();
  const firstWeekday = new Date(Date.UTC(year, monthIndex, 1)).getUTCDay();
  let mask = 0;
  for (let day = 1; day <= length; day += 1) {
    if (matchesDay(cron, day, (firstWeekday + day - 1) % 7)) mask |= 1 << day;
  }
  // Special days restrict their field, so they matter only where the other field does not leave every day in anyway.
  for (const day of specialDaysOfMonth(cron, length, firstWeekday)) mask |= 1 << day;
  for (const day of specialDaysOfWeek(cron, length, firstWeekday)) mask |= 1 << day;
  return mask;
}

/** Where both fields restrict, either suffices (crontab(5)). */
function matchesDay({ daysOfMonth, daysOfWeek }: CronSchedule, dayOfMonth: number, dayOfWeek: number): boolean {
  if (daysOfMonth === null) return daysOfWeek === null || daysOfWeek.includes(dayOfWeek);
  if (daysOfWeek === null) return daysOfMonth.includes(dayOfMonth);
  return daysOfMonth.includes(dayOfMonth) || daysOfWeek.includes(dayOfWeek);
}

/** Finds days (counted since 1970, without any zone) that a schedule matches; remembers the month it looked at last. */
export class DayFinder {
  readonly #cron: CronSchedule;
  #monthStart = Number.NaN;
  #mask = 0;

  constructor(cron: CronSchedule) {
    this.#cron = cron;
  }

  /** The first matching day from `day` on, or null where none comes within the search limit. */
  next(day: number): number | null {
    const start = new Date(day * DAY_MS);
    let [year, month, dayOfMonth] = [start.getUTCFullYear(), start.getUTCMonth(), start.getUTCDate()];
    for (let searched = 0; searched < MAX_SEARCH_MONTHS; searched += 1) {
      const mask = this.#maskOf(year, month);
      for (let candidate = dayOfMonth; candidate <= 31; candidate += 1) {
        if (mask & (1 << candidate)) return this.#monthStart + candidate - 1;
      }
      [year, month, dayOfMonth] = month === 11 ? [year + 1, 0, 1] : [year, month + 1, 1];
    }
    return null;
  }

  /** The last matching day up to `day`, or null where none lies within the search limit. */
  previous(day: number): number | null {
    const start = new Date(day * DAY_MS);
    let [year, month, dayOfMonth] = [start.getUTCFullYear(), start.getUTCMonth(), start.getUTCDate()];
    for (let searched = 0; searched < MAX_SEARCH_MONTHS; searched += 1) {
      const mask = this.#maskOf(year, month);
      for (let candidate = dayOfMonth; candidate >= 1; candidate -= 1) {
        if (mask & (1 << candidate)) return this.#monthStart + candidate - 1;
      }
      [year, month, dayOfMonth] = month === 0 ? [year - 1, 11, 31] : [year, month - 1, 31];
    }
    return null;
  }

  #maskOf(year: number, monthIndex: number): number {
    const monthStart = Date.UTC(year, monthIndex, 1) / DAY_MS;
    if (monthStart !== this.#monthStart) {
      this.#monthStart = monthStart;
      this.#mask = matchingDaysOfMonth(this.#cron, year, monthIndex);
    }
    return this.#mask;
  }
}
