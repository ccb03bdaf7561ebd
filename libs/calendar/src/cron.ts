import {
  DAY_OF_MONTH,
  DAY_OF_WEEK,
  HOUR,
  MINUTE,
  MONTH,
  SECOND,
  parseCronField,
  type CronField,
  type FieldRule,
} from './cron-field.js';
import { invalidSchedule } from './invalid-schedule.js';

const MAX_EXPRESSION_CHARS = 200;

/** A parsed cron expression: plain data, so it can be compared, stored and sent. */
export interface CronSchedule {
  /** The expression as given, blanks made single. */
  readonly source: string;
  /** Ascending. */
  readonly seconds: readonly number[];
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  /** 1 to 31. Null where the field is `*` or `?`, so that the other day field alone decides. */
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
  const schedule: CronSchedule = {
    source,
    seconds: values(second, SECOND),
    minutes: values(minute, MINUTE),
    hours: values(hour, HOUR),
    daysOfMonth: parseCronField(dayOfMonth, DAY_OF_MONTH),
    months: values(month, MONTH),
    daysOfWeek: parseCronField(dayOfWeek, DAY_OF_WEEK),
    followsElapsedTime: hour.text.startsWith('*'),
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

function values(field: CronField, rule: FieldRule): readonly number[] {
  return parseCronField(field, rule) ?? Array.from({ length: rule.max - rule.min + 1 }, (_, index) => rule.min + index);
}

const LONGEST_MONTH_DAYS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as const;

/** Days of the week come in every month, so only a day of month that decides alone can be impossible. */
function hasPossibleDay({ daysOfMonth, daysOfWeek, months }: CronSchedule): boolean {
  const firstDay = daysOfMonth?.[0];
  if (firstDay === undefined || daysOfWeek !== null) return true;
  return months.some((month) => firstDay <= (LONGEST_MONTH_DAYS[month - 1] ?? 0));
}

function parseMacro(first: CronField, fields: readonly CronField[]): CronSchedule {
  const second = fields[1];
  if (first.text === '@every')
    throw invalidSchedule(
      '"@every" is no cron expression',
      first.column,
      first.text,
      'write the times, e.g. "*/10 * * * *"',
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
