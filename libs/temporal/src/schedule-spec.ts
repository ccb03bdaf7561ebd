import type { CalendarSpec, ScheduleSpec } from '@temporalio/client';
import type { TemporalCommand, WakingSpec, WakingTimes } from '@fettle/contracts';

const months = [
  ...(['JANUARY', 'FEBRUARY', 'MARCH', 'APRIL', 'MAY', 'JUNE', 'JULY'] as const),
  ...(['AUGUST', 'SEPTEMBER', 'OCTOBER', 'NOVEMBER', 'DECEMBER'] as const),
];
const daysOfWeek = ['SUNDAY', 'MONDAY', 'TUESDAY', 'WEDNESDAY', 'THURSDAY', 'FRIDAY', 'SATURDAY'] as const;

/** What Temporal is told of a schedule. It only wakes, so that it may wake once too often, but never too rarely. */
export function scheduleSpec({
  cron,
  timeZone,
  waking,
}: Extract<TemporalCommand, { kind: 'put-schedule' }>['payload']): ScheduleSpec {
  if (waking !== undefined) return wakingSchedule(waking);
  return { cronExpressions: [temporalCron(cron ?? '')], timezone: timeZone };
}

/** Temporal reads seconds only where there is a year as well: seven fields. */
function temporalCron(cron: string): string {
  return cron.trim().split(/\s+/).length === 6 ? `${cron.trim()} *` : cron;
}

function wakingSchedule({ timeZone, times, interval, entries, start, end }: WakingSpec): ScheduleSpec {
  return {
    timezone: timeZone,
    calendars: [...times.map(calendarOf), ...entries.map((at) => entryOf(at, timeZone))],
    ...(interval === null ? {} : { intervals: [{ every: interval.everyMs, offset: interval.phaseMs }] }),
    ...(start === null ? {} : { startAt: new Date(start) }),
    ...(end === null ? {} : { endAt: new Date(end) }),
  };
}

function calendarOf(times: WakingTimes): CalendarSpec {
  return {
    second: [...times.seconds],
    minute: [...times.minutes],
    hour: [...times.hours],
    dayOfMonth: times.daysOfMonth === null ? '*' : [...times.daysOfMonth],
    month: times.months.map((month) => months[month - 1]!),
    dayOfWeek: times.daysOfWeek === null ? '*' : times.daysOfWeek.map((day) => daysOfWeek[day]!),
  };
}

/** A single instant, as the clock of the specification's one zone shows it. */
function entryOf(at: string, timeZone: string): CalendarSpec {
  const parts = new Intl.DateTimeFormat('en-US', {
    ...({ timeZone, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric' } as const),
    ...({ hour: 'numeric', minute: 'numeric', second: 'numeric' } as const),
  }).formatToParts(new Date(at));
  const part = (type: Intl.DateTimeFormatPartTypes): number => Number(parts.find((one) => one.type === type)?.value);
  return {
    year: part('year'),
    month: months[part('month') - 1]!,
    dayOfMonth: part('day'),
    hour: part('hour'),
    minute: part('minute'),
    second: part('second'),
  };
}
