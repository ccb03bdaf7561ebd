import { listDecidableDeadlines } from '@fettle/database';
import { watchDeadline } from '@fettle/operations';
import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import type { BackgroundTask } from './run-loop.js';

const BATCH = 200;

/** Says of runs of schedules that they cannot start or finish in time any more, each in a transaction of its own. */
export function watchDeadlines(dataSource: DataSource, logger: Pick<Logger, 'warn'>): BackgroundTask {
  return {
    name: 'watch-deadlines',
    intervalMs: 2_000,
    async round(transaction) {
      const found = await listDecidableDeadlines(transaction, BATCH);
      let failed = 0;
      for (const deadline of found) {
        try {
          await dataSource.transaction((own) => watchDeadline(own, deadline, new Date()));
        } catch (error) {
          failed += 1;
          logger.warn({ err: error, schedule: deadline.schedule }, 'a deadline could not be decided');
        }
      }
      // What fails stays first in line: without a rest the round would be made again and again.
      return { more: found.length === BATCH && failed === 0 };
    },
  };
}
