import { findFreeableRuns, freeEndedRun } from '@fettle/operations';
import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import type { BackgroundTask } from './run-loop.js';

const BATCH = 200;

/**
 * Gives back what runs that have ended still hold: what was kept because a step might be at work, once that time is over, and what
 * else a run's end has left. The sweeper ends runs that Temporal has closed; this comes after it. Each run has a transaction of
 * its own.
 */
export function freeCapacity(dataSource: DataSource, logger: Pick<Logger, 'info' | 'warn'>): BackgroundTask {
  return {
    name: 'free-capacity',
    intervalMs: 15_000,
    async round(transaction) {
      const runIds = await findFreeableRuns(transaction, BATCH);
      let freed = 0;
      for (const runId of runIds) {
        try {
          await dataSource.transaction((own) => freeEndedRun(own, runId));
          freed += 1;
          logger.info({ runId }, 'gave back the capacity of a run that has ended');
        } catch (error) {
          logger.warn({ err: error, runId }, 'the capacity of a run could not be given back');
        }
      }
      return { more: freed === BATCH };
    },
  };
}
