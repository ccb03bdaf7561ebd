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

/**
 * Values of one field, ascending; null for `*` and `?` (and `*` among other items), which restrict nothing.
 * @throws FettleError `invalid-schedule`
 */
export function parseCronField(field: CronField, rule: FieldRule): readonly number[] | null {
  const found = new Set<number>();
  let isUnrestricted = false;
  let column = field.column;
  for (const item of field.text.split(',')) {
    const range = parseItem({ text: item, column }, rule);
    isUnrestricted ||= range.isWildcard && range.step === 1;
    for (let value = range.first; value <= range.last; value += range.step)
      found.add(value > rule.max ? rule.min : value);
    column += item.length + 1;
  }
  return isUnrestricted ? null : [...found].sort((a, b) => a - b);
}

interface Range {
  readonly first: number;
  readonly last: number;
  readonly step: number;
  readonly isWildcard: boolean;
}

function parseItem(item: CronField, rule: FieldRule): Range {
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
  const first = parseValue(from, item, rule);
  if (to === undefined) return { first, last: stepText === undefined ? first : rule.max, step, isWildcard: false };
  const last = parseValue(to, { text, column: column + from.length + 1 }, rule);
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

function parseValue(text: string, item: CronField, rule: FieldRule): number {
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
  if (rule.isDay && /^(L|LW|L-[0-9]+|[0-9]+W|[0-9A-Za-z]+L|[0-9A-Za-z]+#[0-9])$/i.test(text))
    return '"L", "W" and "#" are not supported yet';
  const short = text.slice(0, 3).toUpperCase();
  if (rule.names?.includes(short)) return `write ${short}`;
  if (rule.names) return `names are ${rule.names.join(', ')}`;
  return /^-|--/.test(text) ? 'values are never negative' : undefined;
}
