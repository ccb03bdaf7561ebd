import { FettleError } from '@fettle/contracts';
import { isBusinessDay, type BusinessDays } from './business-days.js';
import { DAY_MS } from './days.js';
import { CronTimes, type LocalTimes } from './local-times.js';
import type { Exclusion } from './recurrence.js';
import { ruleTimes } from './rule-times.js';

/** Whether a nominal local time (as if it were UTC) is left out. */
export type IsExcluded = (nominalMs: number) => boolean;

const NEVER: IsExcluded = () => false;

/** @throws FettleError `invalid-schedule` for a date that is none */
export function exclusionOf(exclusions: readonly Exclusion[] | undefined): IsExcluded {
  if (!exclusions || exclusions.length === 0) return NEVER;
  const days = new Set<number>();
  const business: BusinessDays[] = [];
  const sources: { readonly times: LocalTimes; readonly unitMs: number }[] = [];
  for (const exclusion of exclusions) {
    if ('date' in exclusion) days.add(excludedDay(exclusion.date));
    else if ('notOn' in exclusion) business.push(exclusion.notOn);
    else if ('rule' in exclusion) sources.push({ times: ruleTimes(exclusion.rule), unitMs: 1000 });
    else {
      const isOfMinutes = exclusion.cron.source.split(' ').length !== 6;
      sources.push({ times: new CronTimes(exclusion.cron), unitMs: isOfMinutes ? 60_000 : 1000 });
    }
  }
  return (nominalMs) => {
    const day = Math.floor(nominalMs / DAY_MS);
    if (days.has(day) || business.some((one) => !isBusinessDay(one, day))) return true;
    return sources.some(({ times, unitMs }) => {
      const unit = Math.floor(nominalMs / unitMs) * unitMs;
      for (const _ of times.times(unit, unit + unitMs)) return true;
      return false;
    });
  };
}

/** Days since 1970 of a date such as `2026-12-24`. */
export function excludedDay(date: string): number {
  const ms = /^\d{4}-\d{2}-\d{2}$/.test(date) ? Date.parse(date) : Number.NaN;
  if (Number.isNaN(ms) || new Date(ms).toISOString().slice(0, 10) !== date) {
    throw new FettleError({
      code: 'invalid-schedule',
      message: `"${date.slice(0, 40)}" is no date`,
      remedy: 'Write it as 2026-12-24.',
    });
  }
  return ms / DAY_MS;
}
