import { listUnarchivedRuns, type UnarchivedRun } from '@fettle/database';
import { archiveHistory, packHistories } from '@fettle/operations';
import { readExecutions, type TemporalClient } from '@fettle/temporal';
import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import { RestList } from './rest-list.js';
import type { BackgroundTask } from './run-loop.js';

/** A run's workflow closes right after it has ended the run. */
const CLOSED_AFTER_MS = 2_000;
const BATCH = 50;
/** Runs that are read and compressed beside each other; each has at most what is kept of a run in memory. */
const CONCURRENT = 4;
/** A round stops after this and the next one goes on, so that its lock is not held for long. */
const BUDGET_MS = 15_000;

/**
 * Takes what Temporal tells of ended runs into the database, with its digest in the audit log: Temporal drops it after the retention of
 * its namespace. Several runs are read at once, page by page, and stored one after the other, each in a transaction of its own,
 * beside the one that holds the task's lock. A run whose workflow is still open, and one that failed, is left alone for a while.
 */
export function archiveHistories(
  dataSource: DataSource,
  temporal: TemporalClient,
  logger: Pick<Logger, 'warn'>,
  intervalMs = 5_000,
): BackgroundTask {
  const resting = new RestList();
  const oneByOne = new Turns();
  const archive = async (run: UnarchivedRun): Promise<void> => {
    const executions = await readExecutions(temporal, run.workflowId);
    if (executions === null) return void resting.fail(run.runId, Date.now());
    const histories = await packHistories(executions);
    if (await oneByOne.run(() => dataSource.transaction((own) => archiveHistory(own, run, histories)))) {
      const lost = run.hasStarted ? histories.filter(({ state }) => state !== 'archived') : [];
      if (lost.length > 0) {
        const reasons = [...new Set(lost.map(({ reason }) => reason))].slice(0, 3);
        logger.warn({ runId: run.runId, count: lost.length, reasons }, 'not all of the history of a run could be kept');
      }
    }
    resting.succeed(run.runId);
  };
  const attempt = async (run: UnarchivedRun): Promise<void> => {
    try {
      await archive(run);
    } catch (error) {
      const count = resting.fail(run.runId, Date.now());
      logger.warn({ err: error, runId: run.runId, count }, 'the history of a run could not be archived');
    }
  };
  return {
    name: 'archive-histories',
    intervalMs,
    async round(transaction) {
      const untilMs = Date.now() + BUDGET_MS;
      const except = resting.resting(Date.now());
      const runs = await listUnarchivedRuns(transaction, { endedBeforeMs: CLOSED_AFTER_MS, except, limit: BATCH });
      const waiting = [...runs];
      const serve = async (): Promise<void> => {
        while (Date.now() <= untilMs) {
          const run = waiting.shift();
          if (run === undefined) return;
          await attempt(run);
        }
      };
      await Promise.all(Array.from({ length: CONCURRENT }, serve));
      return { more: waiting.length > 0 || runs.length === BATCH };
    },
  };
}

/** One at a time, in the order in which they came: one connection is enough for all of them. */
class Turns {
  #last: Promise<unknown> = Promise.resolve();

  run<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}
