import { WorkflowNotFoundError, type WorkflowExecutionStatusName } from '@temporalio/client';
import type { TemporalClient } from './connect.js';

/** A server that does not answer must not hold up the comparison for ever. */
const CALL_TIMEOUT_MS = 10_000;

/** What Temporal says of a run's workflow. */
export type WorkflowStanding = 'open' | 'closed' | 'missing';

/** What else Temporal may say of a workflow, such as that it is paused, is no end. */
const CLOSED: readonly WorkflowExecutionStatusName[] = [
  'COMPLETED',
  'FAILED',
  'CANCELLED',
  'TERMINATED',
  'CONTINUED_AS_NEW',
  'TIMED_OUT',
];

export async function readStanding({ client }: TemporalClient, workflowId: string): Promise<WorkflowStanding> {
  try {
    const handle = client.workflow.getHandle(workflowId);
    const description = await client.withDeadline(Date.now() + CALL_TIMEOUT_MS, () => handle.describe());
    return CLOSED.includes(description.status.name) ? 'closed' : 'open';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return 'missing';
    throw error;
  }
}

/** What an id must be to stand in a query: those of runs are. */
const PLAIN_ID = /^[\w.-]+$/;

/**
 * Those of the runs' workflows that Temporal's list has as open: one call for all of them. The list follows the histories with a delay, so
 * that one which is not in it may be open too (`readStanding`), and one that is in it may just have closed.
 */
export async function listOpenAmong(
  { client }: TemporalClient,
  workflowIds: readonly string[],
): Promise<ReadonlySet<string>> {
  const ids = workflowIds.filter((id) => PLAIN_ID.test(id));
  if (ids.length === 0) return new Set();
  const page = await client.withDeadline(Date.now() + CALL_TIMEOUT_MS, () =>
    client.workflowService.listWorkflowExecutions({
      namespace: client.options.namespace,
      query: `ExecutionStatus = 'Running' AND WorkflowId IN (${ids.map((id) => `'${id}'`).join(', ')})`,
      pageSize: ids.length,
    }),
  );
  return new Set(page.executions.flatMap(({ execution }) => execution?.workflowId ?? []));
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
