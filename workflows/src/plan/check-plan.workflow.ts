import type { CheckActivities } from '@fettle/activities';
import { isCancellation, proxyActivities, proxyLocalActivities } from '@temporalio/workflow';

const { servePlanCheck } = proxyActivities<CheckActivities>({
  startToCloseTimeout: '1 hour',
  // Whoever reads the check takes it for lost a little later.
  scheduleToCloseTimeout: '65 minutes',
  heartbeatTimeout: '8 seconds',
  retry: { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: '10 seconds', maximumAttempts: 20 },
});
const { abandonPlanCheck } = proxyLocalActivities<CheckActivities>({
  startToCloseTimeout: '10 seconds',
  retry: { initialInterval: '500ms', maximumInterval: '10 seconds', maximumAttempts: 30 },
});

/** Has a worker ask the probes of a plan on its targets; what it has found stands in Postgres, which is also where another goes on. */
export async function checkPlan(input: { readonly checkId: string }): Promise<void> {
  try {
    await servePlanCheck(input.checkId);
  } catch (error) {
    if (isCancellation(error)) throw error;
    await abandonPlanCheck(input.checkId, 'No worker came to the end of the check.');
  }
}
