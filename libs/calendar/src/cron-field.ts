import { invalidSchedule } from './invalid-schedule.js';

/** A field of an expression with the column (from 1) at which it starts. */
export interface CronField {
  readonly text: string;
  readonly column: number;
}

export interface FieldRule {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  /** Names of the values from `min` on, in upper case. */
  readonly names?: readonly string[];
  /** `?` means `*`, and the value after `max` means `min` (7 is Sunday). */
  readonly isDay?: boolean;
  readonly wraps?: boolean;
}

export const SECOND: FieldRule = { name: 'second', min: 0, max: 59 };
export const MINUTE: FieldRule = { name: 'minute', min: 0, max: 59 };
export const HOUR: FieldRule = { name: 'hour', min: 0, max: 23 };
export const DAY_OF_MONTH: FieldRule = { name: 'day of month', min: 1, max: 31, isDay: true };
export const MONTH: FieldRule = {
  name: 'month',
  min: 1,
  max: 12,
  names: ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'],
};
export const DAY_OF_WEEK: FieldRule = {
  name: 'day of week',
  min: 0,
  max: 6,
  names: ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'],
  isDay: true,
  wraps: true,
};

const ITEM = /^(\*|\?|[0-9]{1,9}|[A-Za-z]+)(?:-([0-9]{1,9}|[A-Za-z]+))?(?:\/([0-9]{1,9}))?$/;

/** What one item of a field names; `last` may be `max + 1` where the field wraps. */
export interface CronRange {
  readonly first: number;
  readonly last: number;
  readonly step: number;
  readonly isWildcard: boolean;
}

/** The items of a field (parted by commas) with their columns. */
export function itemsOf(field: CronField): CronField[] {
  let column = field.column;
  return field.text.split(',').map((text) => {
    const item = { text, column };
    column += text.length + 1;
    return item;
  });
}

/** @throws FettleError `invalid-schedule` with the column of what is wrong in the item. */
export function readRange(item: CronField, rule: FieldRule): CronRange {
  const { text, column } = item;
  if (text === '') throw invalidSchedule(`the ${rule.name} field has an empty item: a comma too many`, column, text);
  const match = ITEM.exec(text);
  if (!match)
    throw invalidSchedule(
      `"${text.slice(0, 40)}" is not understood in the ${rule.name} field`,
      column,
      text,
      hintFor(text, rule),
    );
  const [, from = '', to, stepText] = match;
  const step = parseStep(stepText, { text, column }, rule);
  if (from === '*' || from === '?') {
    if (to !== undefined)
      throw invalidSchedule(`"${text.slice(0, 40)}": a range needs a value before "-"`, column, text);
    if (from === '?' && !rule.isDay)
      throw invalidSchedule(`"?" stands for "any day"; the ${rule.name} field needs "*"`, column, text);
    return { first: rule.min, last: rule.max, step, isWildcard: true };
  }
  const first = readValue(from, item, rule);
  if (to === undefined) return { first, last: stepText === undefined ? first : rule.max, step, isWildcard: false };
  const last = readValue(to, { text, column: column + from.length + 1 }, rule);
  // "SAT-SUN" and "5-7": Sunday also ends the week.
  const end =
    rule.wraps && last === rule.min && first > last && to.toUpperCase() === rule.names?.[0] ? rule.max + 1 : last;
  if (first > end) {
    const suggestion = `write two ranges: "${from}-${rule.max},${rule.min}-${to}"`;
    throw invalidSchedule(`the range "${text.slice(0, 40)}" ends before it begins`, column, text, suggestion);
  }
  if (stepText !== undefined && step > end - first && end > first) throw tooLongStep(step, item, `${first} to ${end}`);
  return { first, last: end, step, isWildcard: false };
}

function parseStep(stepText: string | undefined, item: CronField, rule: FieldRule): number {
  if (stepText === undefined) return 1;
  const step = Number(stepText);
  if (step === 0) throw invalidSchedule(`the step of "${item.text.slice(0, 40)}" is 0`, item.column, item.text);
  if (step > rule.max - rule.min) throw tooLongStep(step, item, `${rule.min} to ${rule.max}`);
  return step;
}

/** Such a step would fire once a turn and look as if it fired every `step`. */
function tooLongStep(step: number, item: CronField, range: string): Error {
  return invalidSchedule(
    `a step of ${step} leads out of ${range} at once`,
    item.column,
    item.text,
    'leave the step out, or use the next larger field',
  );
}

/** One value, by number or name. @throws FettleError `invalid-schedule` */
export function readValue(text: string, item: CronField, rule: FieldRule): number {
  if (/^[0-9]/.test(text)) {
    const value = Number(text);
    const max = rule.wraps ? rule.max + 1 : rule.max;
    if (value < rule.min || value > max) {
      throw invalidSchedule(`${rule.name} ${text} is not between ${rule.min} and ${max}`, item.column, item.text);
    }
    return value;
  }
  const index = rule.names?.indexOf(text.toUpperCase()) ?? -1;
  if (index < 0)
    throw invalidSchedule(`"${text.slice(0, 40)}" is no ${rule.name}`, item.column, item.text, hintFor(text, rule));
  return rule.min + index;
}

function hintFor(text: string, rule: FieldRule): string | undefined {
  if (rule.wraps && /^L$/i.test(text)) return 'name the day: "5L" is the last Friday of the month';
  if (/^([0-9]{1,2})?H(\(|\/|$)/i.test(text)) return 'write the value out; jitter spreads schedules';
  if (rule.isDay && /[LW#]/i.test(text))
    return 'day of month takes L, L-3, LW and 15W; day of week takes 5L, MON#2 and FRI#L';
  const short = text.slice(0, 3).toUpperCase();
  if (rule.names?.includes(short)) return `write ${short}`;
  if (rule.names) return `names are ${rule.names.join(', ')}`;
  return /^-|--/.test(text) ? 'values are never negative' : undefined;
}
