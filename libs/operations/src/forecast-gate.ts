import { alwaysOpen, type CalendarGate } from '@fettle/calendar';
import type { StoredSchedule } from '@fettle/database';
import type { OperationContext } from './context.js';

/** What a schedule's calendars say, and what it does where they are closed: `refuse`, `skip` or `defer`. */
export interface ForecastGate {
  readonly gate: CalendarGate;
  readonly whenClosed: string;
}

export type GateOfSchedule = (context: OperationContext, schedule: StoredSchedule) => Promise<ForecastGate>;

export const noCalendars: GateOfSchedule = () => Promise.resolve({ gate: alwaysOpen, whenClosed: 'refuse' });
