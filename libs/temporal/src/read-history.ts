import { WorkflowNotFoundError } from '@temporalio/client';
import type { TemporalClient } from './connect.js';
import { eventsToJson, type History } from './history-json.js';

const CALL_TIMEOUT_MS = 30_000;
/** A run that went on in more executions is followed back through so many. */
const MAX_EXECUTIONS = 1000;

/** A part of the JSON of a history, and how many events begin in it. */
export interface HistoryChunk {
  readonly text: string;
  readonly events: number;
}

/** An execution as Temporal has it: its JSON in parts, of which only one is in memory at a time; or why there is nothing of it. */
export type ReadExecution =
  | { readonly workflowRunId: string; readonly chunks: AsyncIterable<HistoryChunk> }
  | { readonly workflowRunId: string | null; readonly chunks: null; readonly reason: string };

const GONE = 'Temporal has no such workflow (any more)';

/**
 * The executions of a workflow, newest first; where it went on in new ones, all of them. Null: the last one is still open. What
 * Temporal no longer has, or never had, is one member that says so. Each is read before the next one is asked for.
 */
export async function readExecutions(
  temporal: TemporalClient,
  workflowId: string,
): Promise<AsyncIterable<ReadExecution> | null> {
  const last = await lastExecution(temporal, workflowId);
  return last?.isOpen === true ? null : executionsBack(temporal, workflowId, last?.runId ?? null);
}

async function* executionsBack(
  temporal: TemporalClient,
  workflowId: string,
  lastRunId: string | null,
): AsyncGenerator<ReadExecution> {
  if (lastRunId === null) yield { workflowRunId: null, chunks: null, reason: GONE };
  let runId = lastRunId;
  for (let count = 0; runId !== null; count += 1) {
    if (count === MAX_EXECUTIONS) {
      yield { workflowRunId: runId, chunks: null, reason: `more than ${MAX_EXECUTIONS} executions` };
      return;
    }
    const first: HistoryPage | null = await fetchPage(temporal, { workflowId, runId }, null);
    if (first === null) {
      yield { workflowRunId: runId, chunks: null, reason: `${GONE}, nor those before it` };
      return;
    }
    yield { workflowRunId: runId, chunks: chunksFrom(temporal, { workflowId, runId }, first) };
    const before = first.events[0]?.workflowExecutionStartedEventAttributes?.continuedExecutionRunId;
    runId = before === undefined || before === null || before === '' ? null : before;
  }
}

interface Execution {
  readonly workflowId: string;
  readonly runId: string;
}

interface HistoryPage {
  readonly events: NonNullable<History['events']>;
  /** Null: it is the last one. */
  readonly next: Uint8Array | null;
}

/** @throws Error where Temporal drops the execution meanwhile */
async function* chunksFrom(
  temporal: TemporalClient,
  execution: Execution,
  first: HistoryPage,
): AsyncGenerator<HistoryChunk> {
  yield { text: '{"events":[', events: 0 };
  let isFirst = true;
  for (let page = first; ;) {
    const text = eventsToJson(page.events);
    if (text !== '') yield { text: isFirst ? text : `,${text}`, events: page.events.length };
    isFirst &&= text === '';
    if (page.next === null) break;
    const next = await fetchPage(temporal, execution, page.next);
    if (next === null) throw new Error(`Temporal dropped execution ${execution.runId} while it was read`);
    page = next;
  }
  yield { text: ']}', events: 0 };
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

/** A page has as many events as Temporal puts into one answer, which gRPC bounds. */
function fetchPage(
  { client }: TemporalClient,
  execution: Execution,
  nextPageToken: Uint8Array | null,
): Promise<HistoryPage | null> {
  return orNull(async () => {
    const { history, nextPageToken: next } = await client.withDeadline(Date.now() + CALL_TIMEOUT_MS, () =>
      client.workflowService.getWorkflowExecutionHistory({
        namespace: client.options.namespace,
        execution,
        nextPageToken,
      }),
    );
    return { events: history?.events ?? [], next: next instanceof Uint8Array && next.length > 0 ? next : null };
  });
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
