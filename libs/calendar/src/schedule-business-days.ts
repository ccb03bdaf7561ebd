import type { ScheduleSpec } from '@fettle/contracts';
import type { BusinessDays, MonthlySchedule, RollDirection } from './business-days.js';
import { excludedDay } from './exclusions.js';
import { invalidTiming } from './invalid-timing.js';

type Days = ScheduleSpec['businessDays'];
type Monthly = NonNullable<ScheduleSpec['monthly']>;

const WEEKDAYS = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'] as const;

/** Monday to Friday where the schedule does not say. @throws FettleError `invalid-schedule` for a date that is none */
export function businessDaysOf(days: Days): BusinessDays {
  const weekend = new Set((days?.weekend ?? ['SAT', 'SUN']).map((day) => WEEKDAYS.indexOf(day)));
  if (weekend.size >= 7) throw invalidTiming('a week without any business day');
  return { weekend: [...weekend], holidays: new Set((days?.holidays ?? []).map(excludedDay)) };
}

export function monthlyOf({ businessDay, months, time }: Monthly, days: Days): MonthlySchedule {
  const nths = [businessDay].flat();
  const timesOfDayMs = [...new Set([time].flat().map(timeOfDayMs))].sort((left, right) => left - right);
  return {
    nths,
    months: months === undefined ? null : months.map((month) => month - 1),
    timesOfDayMs,
    days: businessDaysOf(days),
  };
}

function timeOfDayMs(text: string): number {
  const match = /^([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?$/.exec(text);
  if (!match) throw invalidTiming(`"${text.slice(0, 40)}" is no time of day such as 06:30`);
  const [, hours = '0', minutes = '0', seconds = '0'] = match;
  return ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1000;
}

/** @throws FettleError `invalid-schedule` where days cannot be moved: elapsed time knows no days */
export function rollOf(
  timing: Pick<ScheduleSpec, 'roll' | 'businessDays' | 'every' | 'monthly' | 'at' | 'cron' | 'rrule'>,
): { roll?: { days: BusinessDays; to: RollDirection } } {
  const { roll, businessDays, every, monthly, at } = timing;
  if (roll === undefined) return {};
  if (every !== undefined) throw invalidTiming('roll moves local days, and every counts elapsed time');
  if (monthly !== undefined) throw invalidTiming('monthly names business days already: roll would move nothing');
  if (at !== undefined && /(Z|[+-]\d{2}:?\d{2})$/i.test(at.trim()))
    throw invalidTiming('roll moves local days: write at without an offset');
  return { roll: { days: businessDaysOf(businessDays), to: roll } };
}

export function monthlyText({ businessDay, months, time }: Monthly): string {
  const days = [businessDay].flat().map((nth) => {
    if (nth === -1) return 'last';
    return nth < 0 ? `last but ${-nth - 1}` : `${nth}.`;
  });
  const of = months === undefined ? '' : ` of the months ${months.join(', ')}`;
  return `${days.join(', ')} business day${of} at ${[time].flat().join(', ')}`;
}
