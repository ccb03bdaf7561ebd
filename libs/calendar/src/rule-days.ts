import { DAY_MS } from './days.js';
import type { RuleFrequency, RuleSchedule } from './rule.js';

interface DateParts {
  readonly year: number;
  /** 0 to 11. */
  readonly month: number;
  readonly dayOfMonth: number;
  readonly monthLength: number;
  /** From 1. */
  readonly dayOfYear: number;
  readonly yearLength: number;
  /** 0 (Sunday) to 6. */
  readonly weekday: number;
}

function dateParts(day: number): DateParts {
  const date = new Date(day * DAY_MS);
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()];
  const yearStart = Date.UTC(year, 0, 1) / DAY_MS;
  return {
    year,
    month,
    dayOfMonth: date.getUTCDate(),
    monthLength: new Date(Date.UTC(year, month + 1, 0)).getUTCDate(),
    dayOfYear: day - yearStart + 1,
    yearLength: Date.UTC(year + 1, 0, 1) / DAY_MS - yearStart,
    weekday: date.getUTCDay(),
  };
}

/** Whether all BY parts that speak of days let a day in (RFC 5545 3.3.10: what "expands" lets in no other days than what "limits"). */
export function letsDayIn(rule: RuleSchedule, day: number): boolean {
  const { months, weekNumbers, daysOfYear, daysOfMonth, weekdays } = rule;
  const parts = dateParts(day);
  if (months && !months.includes(parts.month + 1)) return false;
  if (daysOfMonth && !counts(daysOfMonth, parts.dayOfMonth, parts.monthLength)) return false;
  if (daysOfYear && !counts(daysOfYear, parts.dayOfYear, parts.yearLength)) return false;
  if (
    weekdays &&
    !weekdays.some(({ day: wanted, nth }) => wanted === parts.weekday && (nth === null || isNth(rule, parts, nth)))
  )
    return false;
  return !weekNumbers || isInWeek(weekNumbers, day, rule.weekStart);
}

/** Negative numbers count from the end: -1 is the last. */
function counts(wanted: readonly number[], value: number, length: number): boolean {
  return wanted.includes(value) || wanted.includes(value - length - 1);
}

/** Counted within the month, but within the year where a yearly rule names no months. */
function isNth(rule: RuleSchedule, parts: DateParts, nth: number): boolean {
  const isOfYear = rule.frequency === 'YEARLY' && rule.months === null;
  const [value, length] = isOfYear ? [parts.dayOfYear, parts.yearLength] : [parts.dayOfMonth, parts.monthLength];
  return nth > 0 ? Math.floor((value - 1) / 7) + 1 === nth : -(Math.floor((length - value) / 7) + 1) === nth;
}

/** Week 1 is the first with at least four days in its year (ISO 8601, here with any first day of the week). */
function isInWeek(weekNumbers: readonly number[], day: number, weekStart: number): boolean {
  const weekday = ((day % 7) + 4 + 7) % 7;
  const monday = day - ((weekday - weekStart + 7) % 7);
  const year = new Date((monday + 3) * DAY_MS).getUTCFullYear();
  const firstOf = (of: number): number => {
    const fourth = Date.UTC(of, 0, 4) / DAY_MS;
    return fourth - ((((fourth + 4) % 7) - weekStart + 14) % 7);
  };
  const number = (monday - firstOf(year)) / 7 + 1;
  return counts(weekNumbers, number, (firstOf(year + 1) - firstOf(year)) / 7);
}

/** The number of the period (year, month, week or day) that a day lies in. */
export function periodOf(frequency: RuleFrequency, weekStart: number, day: number): number {
  if (frequency === 'YEARLY' || frequency === 'MONTHLY') {
    const date = new Date(day * DAY_MS);
    const year = date.getUTCFullYear();
    return frequency === 'YEARLY' ? year : year * 12 + date.getUTCMonth();
  }
  // Day 0 was a Thursday (4).
  return frequency === 'WEEKLY' ? Math.floor((day + 4 - weekStart) / 7) : day;
}

/** The first day of a period. */
export function periodStart(frequency: RuleFrequency, weekStart: number, period: number): number {
  if (frequency === 'YEARLY') return Date.UTC(period, 0, 1) / DAY_MS;
  if (frequency === 'MONTHLY') return Date.UTC(Math.floor(period / 12), ((period % 12) + 12) % 12, 1) / DAY_MS;
  return frequency === 'WEEKLY' ? period * 7 - 4 + weekStart : period;
}
