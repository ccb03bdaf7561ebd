import { alwaysOpen, type CalendarGate } from '@fettle/calendar';
import type { StoredSchedule, Transaction } from '@fettle/database';

/** Reads the calendars of a schedule and answers for any moment. */
export type ReadScheduleGate = (
  transaction: Transaction,
  schedule: Pick<StoredSchedule, 'id' | 'space' | 'name' | 'document'>,
) => Promise<CalendarGate>;

/** The calendars that are attached to a schedule or its runbook by name. */
export const readScheduleGate: ReadScheduleGate = () => Promise.resolve(alwaysOpen);
