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

export interface OpenWorkflowPage {
  readonly workflowIds: readonly string[];
  /** Where the next page starts; null: this was the last. */
  readonly next: Uint8Array | null;
}

/** One page of the workflow ids of runs that Temporal believes open; `from` is null for the first page. */
export async function listOpenRunWorkflows(
  { client }: TemporalClient,
  from: Uint8Array | null,
  limit: number,
): Promise<OpenWorkflowPage> {
  const page = await client.withDeadline(Date.now() + CALL_TIMEOUT_MS, () =>
    client.workflowService.listWorkflowExecutions({
      namespace: client.options.namespace,
      query: `WorkflowType = 'runRunbook' AND ExecutionStatus = 'Running'`,
      pageSize: limit,
      nextPageToken: from,
    }),
  );
  return {
    workflowIds: page.executions.flatMap(({ execution }) => execution?.workflowId ?? []),
    next: page.nextPageToken.length > 0 ? page.nextPageToken : null,
  };
}

export async function terminateWorkflow({ client }: TemporalClient, workflowId: string, reason: string): Promise<void> {
  try {
    const handle = client.workflow.getHandle(workflowId);
    await client.withDeadline(Date.now() + CALL_TIMEOUT_MS, () => handle.terminate(reason));
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  }
}
