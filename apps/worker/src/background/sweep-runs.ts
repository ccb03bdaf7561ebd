import { endRun, hasEndedBefore, listOpenRuns, notifyRun } from '@fettle/database';
import { listOpenRunWorkflows, readStanding, terminateWorkflow, type TemporalClient } from '@fettle/temporal';
import type { Logger } from 'pino';
import { idleRound, type BackgroundTask } from './run-loop.js';

/** A run whose start was sent this long ago must be known to Temporal. */
const SETTLE_AFTER_MS = 5_000;
const BATCH = 500;

/**
 * Compares open rows with Temporal both ways: a row whose workflow is gone or closed is ended with the reason, a workflow whose
 * row has ended is terminated. So nothing says "running" for ever.
 */
export function sweepRuns(temporal: TemporalClient, logger: Logger): BackgroundTask {
  return {
    name: 'sweep-runs',
    intervalMs: 15_000,
    async round(transaction) {
      const rows = await listOpenRuns(transaction, SETTLE_AFTER_MS, BATCH);
      for (const row of rows) {
        const standing = await readStanding(temporal, row.workflowId);
        if (standing === 'open') continue;
        const code = standing === 'missing' ? 'workflow-missing' : 'workflow-closed';
        const message = `Temporal has ${standing === 'missing' ? 'no workflow' : 'closed the workflow'} ${row.workflowId}, but the run had not ended.`;
        logger.warn({ runId: row.runId, standing }, 'ending a run that Temporal no longer has');
        const cancelled = row.cancelRequested;
        await endRun(transaction, row.runId, cancelled ? 'cancelled' : 'failed', { code, message });
        await notifyRun(transaction, row.runId);
      }
      const open = new Set(rows.map((row) => row.workflowId));
      for (const workflowId of await listOpenRunWorkflows(temporal, BATCH)) {
        if (open.has(workflowId)) continue;
        if (await hasEndedBefore(transaction, workflowId, 30_000)) {
          logger.warn({ workflowId }, 'terminating a workflow whose run has ended');
          await terminateWorkflow(temporal, workflowId, 'its run has ended');
        }
      }
      return idleRound;
    },
  };
}
