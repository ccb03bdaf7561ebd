// The same run as a plain workflow: what a programmer would write by hand, step by step.
import { proxyActivities, proxyLocalActivities } from '@temporalio/workflow';

const { step } = proxyActivities({
  startToCloseTimeout: '1 minute',
  retry: { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: '10 seconds' },
});
const { begin, end } = proxyLocalActivities({ startToCloseTimeout: '10 seconds' });

export async function plainRun(runId, steps) {
  await begin(runId);
  for (let index = 0; index < steps; index += 1) await step(runId, `s${index}`);
  await end(runId);
}
