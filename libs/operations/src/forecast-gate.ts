import type { CalendarGate } from '@fettle/calendar';
import type { StoredSchedule } from '@fettle/database';
import type { OperationContext } from './context.js';
import { readScheduleGate } from './schedule-gate.js';

/** What a schedule's calendars say, and what it does where they are closed: `refuse`, `skip` or `defer`. */
export interface ForecastGate {
  readonly gate: CalendarGate;
  readonly whenClosed: string;
}

export type GateOfSchedule = (context: OperationContext, schedule: StoredSchedule) => Promise<ForecastGate>;

/** As the schedule settles: its calendars, its runbook's, and those of its assets. */
export const calendarsOfSchedule: GateOfSchedule = async ({ transaction }, schedule) => ({
  gate: await readScheduleGate(transaction, schedule),
  whenClosed: schedule.document.spec.whenClosed ?? 'skip',
});
