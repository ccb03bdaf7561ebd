// Three activities and nothing else.
import { proxyActivities } from '@temporalio/workflow';

const { step } = proxyActivities({ startToCloseTimeout: '1 minute' });

export async function threeSteps() {
  for (const name of ['s0', 's1', 's2']) await step(name);
}
