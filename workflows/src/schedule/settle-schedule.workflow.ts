import type { ScheduleActivities } from '@fettle/activities';
import { proxyLocalActivities } from '@temporalio/workflow';

const { settleSchedule: settle } = proxyLocalActivities<ScheduleActivities>({
  startToCloseTimeout: '10 seconds',
  // The reconciler settles what this wake-up could not; workflows must not pile up meanwhile.
  scheduleToCloseTimeout: '1 minute',
  retry: { initialInterval: '200ms', backoffCoefficient: 2, maximumInterval: '5 seconds' },
});

/** Woken by a Temporal Schedule: what is due, and what becomes of it, is decided in Postgres alone. */
export async function settleSchedule(scheduleId: string): Promise<void> {
  await settle(scheduleId);
}
