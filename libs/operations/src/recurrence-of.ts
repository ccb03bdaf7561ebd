import { scheduleRecurrence, type Recurrence, type ScheduleTiming } from '@fettle/calendar';
import type { ScheduleDocument } from '@fettle/contracts';

/** When a schedule is due; its jitter hangs on space and name. @throws FettleError `invalid-schedule`, `invalid-time-zone` */
export function recurrenceOf({ metadata, spec }: ScheduleDocument): Recurrence {
  return scheduleRecurrence(spec, `${metadata.space}/${metadata.name}`);
}

/** What of a document decides when it is due. */
export function timingOf({ spec }: ScheduleDocument): ScheduleTiming {
  const { cron, every, phase, rrule, at, monthly, timeZone, dst, start, end, exclude, jitter, businessDays, roll } =
    spec;
  return { cron, every, phase, rrule, at, monthly, timeZone, dst, start, end, exclude, jitter, businessDays, roll };
}
