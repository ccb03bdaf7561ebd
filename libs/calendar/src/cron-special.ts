import { DAY_OF_MONTH, DAY_OF_WEEK, readValue, type CronField } from './cron-field.js';
import { invalidSchedule } from './invalid-schedule.js';

/** A weekday counted within its month: `nth` from 1 to 5, or -1 for the last one. */
export interface NthDayOfWeek {
  /** 0 (Sunday) to 6. */
  readonly day: number;
  readonly nth: number;
}

/** Days that depend on the month: present only where the expression names them. */
export interface SpecialDays {
  /** Days before the last of the month: `L` is 0, `L-3` is 3. */
  readonly lastDays?: readonly number[];
  /** `15W`: the day from Monday to Friday nearest to the 15th, never in another month. */
  readonly nearestWeekdays?: readonly number[];
  /** As `lastDays`, moved to the nearest day from Monday to Friday: `LW` is 0, `L-3W` is 3. */
  readonly lastWeekdays?: readonly number[];
  readonly nthDaysOfWeek?: readonly NthDayOfWeek[];
}

const OF_MONTH = /^(?:L(?:-([0-9]{1,2}))?(W)?|([0-9]{1,2})W)$/i;
const OF_WEEK = /^(?:([0-9]|[A-Za-z]{3})L|([0-9]|[A-Za-z]{3})#([0-9]|L))$/i;

/** Reads an item of the day-of-month field; null where it is none of the special ones. */
export function readSpecialDayOfMonth(item: CronField): SpecialDays | null {
  const match = OF_MONTH.exec(item.text);
  if (!match) return null;
  const [, before, weekday, day] = match;
  if (day !== undefined) return { nearestWeekdays: [readValue(day, item, DAY_OF_MONTH)] };
  const offset = Number(before ?? 0);
  if (offset > 30) throw invalidSchedule(`no month has a day ${item.text}`, item.column, item.text, 'L-30 is the most');
  return weekday === undefined ? { lastDays: [offset] } : { lastWeekdays: [offset] };
}

/** Reads an item of the day-of-week field; null where it is none of the special ones. */
export function readSpecialDayOfWeek(item: CronField): SpecialDays | null {
  const match = OF_WEEK.exec(item.text);
  if (!match) return null;
  const [, last, counted, nth] = match;
  const day = readValue(last ?? counted ?? '', item, DAY_OF_WEEK) % 7;
  if (last !== undefined || /^L$/i.test(nth ?? '')) return { nthDaysOfWeek: [{ day, nth: -1 }] };
  const count = Number(nth);
  if (count < 1 || count > 5)
    throw invalidSchedule(
      `no month has a weekday number ${count}`,
      item.column,
      item.text,
      'count from #1 to #5, or #L',
    );
  return { nthDaysOfWeek: [{ day, nth: count }] };
}

/** Both together; each list ascends and has nothing twice. */
export function mergeSpecialDays(left: SpecialDays, right: SpecialDays): SpecialDays {
  const numbers = (key: 'lastDays' | 'nearestWeekdays' | 'lastWeekdays') => {
    const all = [...new Set([...(left[key] ?? []), ...(right[key] ?? [])])].sort((a, b) => a - b);
    return all.length === 0 ? {} : { [key]: all };
  };
  const counted = new Map(
    [...(left.nthDaysOfWeek ?? []), ...(right.nthDaysOfWeek ?? [])].map((one) => [one.day * 10 + one.nth, one]),
  );
  return {
    ...numbers('lastDays'),
    ...numbers('nearestWeekdays'),
    ...numbers('lastWeekdays'),
    ...(counted.size === 0
      ? {}
      : { nthDaysOfWeek: [...counted.entries()].sort(([a], [b]) => a - b).map(([, one]) => one) }),
  };
}

/** The day from Monday to Friday nearest to `day` in its month of `length` days; `weekday` is that of `day`. */
export function nearestWeekday(day: number, weekday: number, length: number): number {
  if (weekday === 6) return day === 1 ? 3 : day - 1;
  if (weekday === 0) return day === length ? day - 2 : day + 1;
  return day;
}

/** Days (1 to 31) of a month that the special parts of the day-of-month field name. */
export function specialDaysOfMonth(special: SpecialDays, length: number, firstWeekday: number): number[] {
  const weekdayOf = (day: number): number => (firstWeekday + day - 1) % 7;
  const moved = (day: number): number => nearestWeekday(day, weekdayOf(day), length);
  return [
    ...(special.lastDays ?? []).map((before) => length - before).filter((day) => day >= 1),
    ...(special.nearestWeekdays ?? []).filter((day) => day <= length).map(moved),
    ...(special.lastWeekdays ?? [])
      .map((before) => length - before)
      .filter((day) => day >= 1)
      .map(moved),
  ];
}

/** Days (1 to 31) of a month that the special parts of the day-of-week field name. */
export function specialDaysOfWeek(special: SpecialDays, length: number, firstWeekday: number): number[] {
  return (special.nthDaysOfWeek ?? []).flatMap(({ day, nth }) => {
    const first = 1 + ((day - firstWeekday + 7) % 7);
    const found = nth === -1 ? first + 7 * Math.floor((length - first) / 7) : first + 7 * (nth - 1);
    return found <= length ? [found] : [];
  });
}
