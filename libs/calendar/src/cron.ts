import {
  DAY_OF_MONTH,
  DAY_OF_WEEK,
  HOUR,
  MINUTE,
  MONTH,
  SECOND,
  itemsOf,
  readRange,
  type CronField,
  type CronRange,
  type FieldRule,
} from './cron-field.js';
import { mergeSpecialDays, readSpecialDayOfMonth, readSpecialDayOfWeek, type SpecialDays } from './cron-special.js';
import { cronParserValues } from './cron-parser-values.js';
import { invalidSchedule } from './invalid-schedule.js';

const MAX_EXPRESSION_CHARS = 200;

/** A parsed cron expression: plain data, so it can be compared, stored and sent. */
export interface CronSchedule extends SpecialDays {
  /** The expression as given, blanks made single. */
  readonly source: string;
  /** Ascending. */
  readonly seconds: readonly number[];
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  /** 1 to 31, without the special days. Null where the field is `*` or `?`, so that the other day field alone decides. */
  readonly daysOfMonth: readonly number[] | null;
  /** 1 to 12. */
  readonly months: readonly number[];
  /** 0 (Sunday) to 6. Null as for `daysOfMonth`. */
  readonly daysOfWeek: readonly number[] | null;
  /** The hour field begins with `*`: the schedule follows elapsed time, and no DST policy applies to it. */
  readonly followsElapsedTime: boolean;
}

const macros: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
};

/**
 * Parses five fields (minute, hour, day of month, month, day of week), six with seconds first, or `@daily` and its like, as
 * crontab(5) describes them. Where both day fields are restricted, a day that matches either counts.
 * @throws FettleError `invalid-schedule` with the column of what is wrong, also for days that no year has.
 */
export function parseCron(expression: string): CronSchedule {
  if (expression.length > MAX_EXPRESSION_CHARS) {
    throw invalidSchedule(
      `the expression has ${expression.length} characters; at most ${MAX_EXPRESSION_CHARS} are read`,
      MAX_EXPRESSION_CHARS + 1,
      '',
    );
  }
  const fields = splitFields(expression);
  const [first] = fields;
  if (!first) throw invalidSchedule('the expression is empty', 1, '');
  if (first.text.startsWith('@')) return parseMacro(first, fields);
  if (/^(CRON_)?TZ=/.test(first.text)) {
    throw invalidSchedule(
      'a time zone does not belong in the expression',
      first.column,
      first.text,
      'name it in the field timeZone of the schedule',
    );
  }
  if (fields.length !== 5 && fields.length !== 6) {
    const last = fields[fields.length > 6 ? 6 : fields.length - 1] ?? first;
    const message = `an expression has 5 fields (minute, hour, day of month, month, day of week) or 6 (seconds first), not ${fields.length}`;
    throw invalidSchedule(message, last.column, last.text);
  }
  return scheduleOf(
    fields.length === 6 ? fields : [{ text: '0', column: 1 }, ...fields],
    fields.map((field) => field.text).join(' '),
  );
}

function scheduleOf(fields: readonly CronField[], source: string): CronSchedule {
  const [second, minute, hour, dayOfMonth, month, dayOfWeek] = fields;
  if (!second || !minute || !hour || !dayOfMonth || !month || !dayOfWeek)
    throw new RangeError('six fields are expected');
  const read = [
    readField(second, SECOND),
    readField(minute, MINUTE),
    readField(hour, HOUR),
    readField(dayOfMonth, DAY_OF_MONTH, readSpecialDayOfMonth),
    readField(month, MONTH),
    readField(dayOfWeek, DAY_OF_WEEK, readSpecialDayOfWeek),
  ] as const;
  // A single value and a wildcard need no parser; it costs more than all the rest.
  const parsed = read.every(isSingle)
    ? null
    : cronParserValues(read.map(({ plain, isUnrestricted }) => (isUnrestricted ? '*' : plain || '*')));
  const [seconds, minutes, hours, daysOfMonth, months, daysOfWeek] = read.map((field, index) =>
    valuesOf(field, parsed?.[index]),
  );
  if (!seconds || !minutes || !hours || !daysOfMonth || !months || !daysOfWeek)
    throw new RangeError('six fields are expected');
  const schedule: CronSchedule = {
    source,
    seconds,
    minutes,
    hours,
    daysOfMonth: read[3].isUnrestricted ? null : daysOfMonth,
    months,
    daysOfWeek: read[5].isUnrestricted ? null : daysOfWeek,
    followsElapsedTime: hour.text.startsWith('*'),
    ...mergeSpecialDays(read[3].special, read[5].special),
  };
  if (!hasPossibleDay(schedule)) {
    throw invalidSchedule(
      `no year has such a day: day ${dayOfMonth.text} of month ${month.text}`,
      dayOfMonth.column,
      dayOfMonth.text,
    );
  }
  return schedule;
}

interface ReadField {
  readonly rule: FieldRule;
  readonly ranges: readonly CronRange[];
  /** The items that are not special, as given. */
  readonly plain: string;
  /** An item is `*` or `?`. */
  readonly isUnrestricted: boolean;
  readonly special: SpecialDays;
}

/** Checks each item at its column. */
function readField(
  field: CronField,
  rule: FieldRule,
  readSpecial: (item: CronField) => SpecialDays | null = () => null,
): ReadField {
  const ranges: CronRange[] = [];
  const plain: string[] = [];
  let special: SpecialDays = {};
  for (const item of itemsOf(field)) {
    const found = readSpecial(item);
    if (found) special = mergeSpecialDays(special, found);
    else {
      ranges.push(readRange(item, rule));
      plain.push(item.text);
    }
  }
  const isUnrestricted = ranges.some(({ isWildcard, step }) => isWildcard && step === 1);
  return { rule, ranges, plain: plain.join(','), isUnrestricted, special: isUnrestricted ? {} : special };
}

function isSingle({ ranges, isUnrestricted }: ReadField): boolean {
  const [range] = ranges;
  return isUnrestricted || range === undefined || (ranges.length === 1 && range.first === range.last);
}

/** Ascending, without the special days. What cron-parser refuses though it has a meaning ("FRI-SUN", "0,7") is expanded here. */
function valuesOf({ rule, ranges, plain }: ReadField, parsed: readonly number[] | undefined): number[] {
  if (plain === '') return [];
  const found = new Set<number>();
  const add = (value: number): void => void found.add(value > rule.max ? rule.min : value);
  if (parsed) for (const value of parsed) add(value);
  else for (const { first, last, step } of ranges) for (let value = first; value <= last; value += step) add(value);
  return [...found].sort((a, b) => a - b);
}

const LONGEST_MONTH_DAYS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as const;

/** Days of the week come in every month, so only a day of month that decides alone can be impossible. */
function hasPossibleDay(cron: CronSchedule): boolean {
  const { daysOfMonth, daysOfWeek, months } = cron;
  if (daysOfMonth === null || daysOfWeek !== null) return true;
  const firstDay = Math.min(
    ...daysOfMonth,
    ...(cron.nearestWeekdays ?? []),
    ...[...(cron.lastDays ?? []), ...(cron.lastWeekdays ?? [])].map((before) => before + 1),
  );
  return months.some((month) => firstDay <= (LONGEST_MONTH_DAYS[month - 1] ?? 0));
}

function parseMacro(first: CronField, fields: readonly CronField[]): CronSchedule {
  const second = fields[1];
  if (first.text === '@every')
    throw invalidSchedule(
      '"@every" is no cron expression',
      first.column,
      first.text,
      'give the interval instead: `every: 10m` in a schedule, `--every 10m` on the command line',
    );
  if (first.text === '@reboot')
    throw invalidSchedule('"@reboot" has no time: a schedule needs one', first.column, first.text);
  const expanded = Object.hasOwn(macros, first.text.toLowerCase()) ? macros[first.text.toLowerCase()] : undefined;
  if (expanded === undefined) {
    throw invalidSchedule(
      `"${first.text.slice(0, 40)}" is not known`,
      first.column,
      first.text,
      `known are ${Object.keys(macros).join(', ')}`,
    );
  }
  if (second) throw invalidSchedule(`nothing may follow ${first.text}`, second.column, second.text);
  return { ...parseCron(expanded), source: first.text.toLowerCase() };
}

function splitFields(expression: string): CronField[] {
  return [...expression.matchAll(/[^ \t]+/g)].map((match) => ({ text: match[0], column: match.index + 1 }));
}
