import { WorkflowNotFoundError } from '@temporalio/client';
import type { TemporalClient } from './connect.js';

/** A server that does not answer must not hold up the comparison for ever. */
const CALL_TIMEOUT_MS = 10_000;

/** What Temporal says of a run's workflow. */
export type WorkflowStanding = 'open' | 'closed' | 'missing';

export async function readStanding({ client }: TemporalClient, workflowId: string): Promise<WorkflowStanding> {
  try {
    const handle = client.workflow.getHandle(workflowId);
    const description = await client.withDeadline(Date.now() + CALL_TIMEOUT_MS, () => handle.describe());
    return description.status.name === 'RUNNING' ? 'open' : 'closed';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return 'missing';
    throw error;
  }
}

/** Workflow ids of all runs that Temporal believes open, at most `limit`. */
export async function listOpenRunWorkflows({ client }: TemporalClient, limit: number): Promise<string[]> {
  return client.withDeadline(Date.now() + CALL_TIMEOUT_MS, async () => {
    const ids: string[] = [];
    for await (const execution of client.workflow.list({
      query: `WorkflowType = 'runRunbook' AND ExecutionStatus = 'Running'`,
      pageSize: Math.min(1000, limit),
    })) {
      ids.push(execution.workflowId);
      if (ids.length >= limit) break;
    }
    return ids;
  });
}

export async function terminateWorkflow({ client }: TemporalClient, workflowId: string, reason: string): Promise<void> {
  try {
    const handle = client.workflow.getHandle(workflowId);
    await client.withDeadline(Date.now() + CALL_TIMEOUT_MS, () => handle.terminate(reason));
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  }
}
