import { scheduleRecurrence, type Recurrence } from '@fettle/calendar';
import type { ScheduleDocument } from '@fettle/contracts';

/** When a schedule is due; its jitter hangs on space and name. @throws FettleError `invalid-schedule`, `invalid-time-zone` */
export function recurrenceOf({ metadata, spec }: ScheduleDocument): Recurrence {
  return scheduleRecurrence(spec, `${metadata.space}/${metadata.name}`);
}
