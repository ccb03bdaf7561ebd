import { hasEndedBefore, listOpenRuns, type OpenRun } from '@fettle/database';
import { endLostRun } from '@fettle/operations';
import {
  listOpenRunWorkflows,
  readStanding,
  terminateWorkflow,
  type TemporalClient,
  type WorkflowStanding,
} from '@fettle/temporal';
import type { Logger } from 'pino';
import type { BackgroundTask } from './run-loop.js';

/** A run whose start was sent this long ago must be known to Temporal. */
const SETTLE_AFTER_MS = 5_000;
/** A run's own timer ends it at its deadline; when it has not by so long after, its workflow cannot go on. */
const OVERDUE_MS = 10 * 60_000;
const BATCH = 500;

/**
 * Compares open rows with Temporal both ways: a row whose workflow is gone, closed or stuck beyond the run's deadline is ended with
 * the reason, a workflow whose row has ended is terminated. So nothing says "running" for ever.
 */
export function sweepRuns(temporal: TemporalClient, logger: Logger): BackgroundTask {
  let after: string | null = null;
  return {
    name: 'sweep-runs',
    intervalMs: 15_000,
    async round(transaction) {
      const rows = await listOpenRuns(transaction, { sentBeforeMs: SETTLE_AFTER_MS, after, limit: BATCH });
      after = rows.length === BATCH ? rows.at(-1)!.runId : null;
      for (const row of rows) {
        const fault = faultOf(row, await readStanding(temporal, row.workflowId));
        if (fault === null) continue;
        logger.warn({ runId: row.runId, code: fault.code }, 'ending a run that its workflow cannot end');
        await endLostRun(transaction, row, fault);
        if (fault.code === 'deadline-passed') await terminateWorkflow(temporal, row.workflowId, fault.message);
      }
      for (const workflowId of await listOpenRunWorkflows(temporal, BATCH)) {
        if (await hasEndedBefore(transaction, workflowId, 30_000)) {
          logger.warn({ workflowId }, 'terminating a workflow whose run has ended');
          await terminateWorkflow(temporal, workflowId, 'its run has ended');
        }
      }
      return { more: after !== null };
    },
  };
}

interface Fault {
  readonly state: 'failed' | 'timed-out';
  readonly code: 'workflow-missing' | 'workflow-closed' | 'deadline-passed';
  readonly message: string;
}

function faultOf(row: OpenRun, standing: WorkflowStanding): Fault | null {
  const { workflowId } = row;
  if (standing === 'missing') {
    const message = `Temporal has no workflow ${workflowId}, but the run had not ended.`;
    return { state: 'failed', code: 'workflow-missing', message };
  }
  if (standing === 'closed') {
    const message = `Temporal has closed the workflow ${workflowId}, but the run had not ended.`;
    return { state: 'failed', code: 'workflow-closed', message };
  }
  if (row.overdueMs < OVERDUE_MS) return null;
  const message = `The run is ${Math.round(row.overdueMs / 60_000)} minutes past its deadline, and its workflow has not ended it.`;
  return { state: 'timed-out', code: 'deadline-passed', message };
}
