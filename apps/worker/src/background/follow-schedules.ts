import { listOpenFollows } from '@fettle/database';
import { followRun } from '@fettle/operations';
import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import { RestList } from './rest-list.js';
import type { BackgroundTask } from './run-loop.js';

const BATCH = 100;

/** Decides what schedules make of the ends of runs that they follow, each in a transaction of its own. */
export function followSchedules(dataSource: DataSource, logger: Pick<Logger, 'warn'>): BackgroundTask {
  const failed = new RestList();
  return {
    name: 'follow-schedules',
    intervalMs: 1_000,
    async round(transaction) {
      const open = await listOpenFollows(transaction, failed.resting(Date.now()), BATCH);
      for (const follow of open) {
        try {
          await dataSource.transaction((own) => followRun(own, follow));
          failed.succeed(follow.scheduleId);
        } catch (error) {
          const count = failed.fail(follow.scheduleId, Date.now());
          logger.warn({ err: error, ...follow, count }, 'the end of a run could not be followed');
        }
      }
      return { more: open.length === BATCH };
    },
  };
}
