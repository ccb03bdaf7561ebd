import type { ScheduleActivities } from '@fettle/activities';
import { proxyLocalActivities } from '@temporalio/workflow';

const { settleDue } = proxyLocalActivities<ScheduleActivities>({
  startToCloseTimeout: '10 seconds',
  // The reconciler settles what this wake-up could not; workflows must not pile up meanwhile.
  scheduleToCloseTimeout: '1 minute',
  retry: { initialInterval: '200ms', backoffCoefficient: 2, maximumInterval: '5 seconds' },
});

/** Tens of thousands of schedules; what is due beyond them is left to the reconciler. */
const MAX_ROUNDS = 200;

/** Woken by Temporal when schedules are due: which, and what becomes of them, is decided in Postgres alone. */
export async function settleSchedules(): Promise<void> {
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    if (!(await settleDue()).more) return;
  }
}
