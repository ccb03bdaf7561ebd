import { listUnarchivedRuns, type UnarchivedRun } from '@fettle/database';
import { archiveHistory, packHistory } from '@fettle/operations';
import { readExecutions, type TemporalClient } from '@fettle/temporal';
import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import { RestList } from './rest-list.js';
import type { BackgroundTask } from './run-loop.js';

/** A run's workflow closes right after it has ended the run. */
const CLOSED_AFTER_MS = 2_000;
const BATCH = 50;
/** A round stops after this and the next one goes on, so that its lock is not held for long. */
const BUDGET_MS = 15_000;

/**
 * Takes what Temporal tells of ended runs into the database, with its digest in the audit log: Temporal drops it after the retention of
 * its namespace. Each run has a transaction of its own, beside the one that holds the task's lock. A run whose workflow is still
 * open, and one that failed, is left alone for a while.
 */
export function archiveHistories(
  dataSource: DataSource,
  temporal: TemporalClient,
  logger: Pick<Logger, 'warn'>,
  intervalMs = 5_000,
): BackgroundTask {
  const resting = new RestList();
  const archive = async (run: UnarchivedRun): Promise<void> => {
    const executions = await readExecutions(temporal, run.workflowId);
    if (executions === null) return void resting.fail(run.runId, Date.now());
    const histories = executions.map((execution) => packHistory(execution));
    if (await dataSource.transaction((own) => archiveHistory(own, run, histories))) {
      const lost = run.hasStarted ? histories.filter(({ state }) => state !== 'archived') : [];
      if (lost.length > 0) {
        const reasons = [...new Set(lost.map(({ reason }) => reason))].slice(0, 3);
        logger.warn({ runId: run.runId, count: lost.length, reasons }, 'not all of the history of a run could be kept');
      }
    }
    resting.succeed(run.runId);
  };
  return {
    name: 'archive-histories',
    intervalMs,
    async round(transaction) {
      const untilMs = Date.now() + BUDGET_MS;
      const except = resting.resting(Date.now());
      const runs = await listUnarchivedRuns(transaction, { endedBeforeMs: CLOSED_AFTER_MS, except, limit: BATCH });
      for (const run of runs) {
        if (Date.now() > untilMs) return { more: true };
        try {
          await archive(run);
        } catch (error) {
          const count = resting.fail(run.runId, Date.now());
          logger.warn({ err: error, runId: run.runId, count }, 'the history of a run could not be archived');
        }
      }
      return { more: runs.length === BATCH };
    },
  };
}
