import { WorkflowNotFoundError } from '@temporalio/client';
import type { TemporalClient } from './connect.js';
import { historyToJson, type History } from './history-json.js';

const CALL_TIMEOUT_MS = 30_000;
/** A run that went on in more executions is followed back through so many. */
const MAX_EXECUTIONS = 1000;

/** An execution as Temporal has it; `text` is null where it has nothing. */
export type ReadExecution =
  | { readonly workflowRunId: string; readonly text: string; readonly events: number }
  | { readonly workflowRunId: string | null; readonly text: null; readonly reason: string };

const GONE = 'Temporal has no such workflow (any more)';

/**
 * The executions of a workflow, oldest first; where it went on in new ones, all of them. Null: the last one is still open. What Temporal
 * no longer has, or never had, is one member that says so.
 */
export async function readExecutions(
  temporal: TemporalClient,
  workflowId: string,
): Promise<readonly ReadExecution[] | null> {
  const last = await lastExecution(temporal, workflowId);
  if (last === null) return [{ workflowRunId: null, text: null, reason: GONE }];
  if (last.isOpen) return null;
  const executions: ReadExecution[] = [];
  for (let runId: string | null = last.runId; runId !== null;) {
    if (executions.length === MAX_EXECUTIONS) {
      executions.push({ workflowRunId: runId, text: null, reason: `more than ${MAX_EXECUTIONS} executions` });
      break;
    }
    const history = await fetchHistory(temporal, workflowId, runId);
    if (history === null) {
      executions.push({ workflowRunId: runId, text: null, reason: `${GONE}, nor those before it` });
      break;
    }
    executions.push({ workflowRunId: runId, text: historyToJson(history), events: history.events?.length ?? 0 });
    const before = history.events?.[0]?.workflowExecutionStartedEventAttributes?.continuedExecutionRunId;
    runId = before === undefined || before === null || before === '' ? null : before;
  }
  return executions.reverse();
}

interface Last {
  readonly isOpen: boolean;
  readonly runId: string;
}

async function lastExecution({ client }: TemporalClient, workflowId: string): Promise<Last | null> {
  const handle = client.workflow.getHandle(workflowId);
  return orNull(async () => {
    const { status, runId } = await client.withDeadline(Date.now() + CALL_TIMEOUT_MS, () => handle.describe());
    return { isOpen: status.name === 'RUNNING', runId };
  });
}

function fetchHistory({ client }: TemporalClient, workflowId: string, runId: string): Promise<History | null> {
  const handle = client.workflow.getHandle(workflowId, runId);
  return orNull(() => client.withDeadline(Date.now() + CALL_TIMEOUT_MS, () => handle.fetchHistory()));
}

/** Null where Temporal knows no such execution. */
async function orNull<Result>(work: () => Promise<Result>): Promise<Result | null> {
  try {
    return await work();
  } catch (error) {
    const isUnknown = error instanceof WorkflowNotFoundError || (error as { code?: unknown }).code === 5;
    if (isUnknown) return null;
    throw error;
  }
}
