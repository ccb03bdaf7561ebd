import { listDueSchedules } from '@fettle/database';
import { settleFire } from '@fettle/operations';
import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import { RestList } from './rest-list.js';
import type { BackgroundTask } from './run-loop.js';

/** Temporal's own wake-up normally comes first; this is for when it does not. */
const LATENESS_MS = 3_000;
const BATCH = 100;

/**
 * Settles schedules that are due though nobody woke them: Temporal was away, or its entry is missing. Each has a transaction of its
 * own, beside the one that holds the task's lock: one that waits, fails or breaks its connection costs no other anything.
 */
export function settleSchedules(dataSource: DataSource, logger: Pick<Logger, 'warn'>): BackgroundTask {
  const failed = new RestList();
  return {
    name: 'settle-schedules',
    intervalMs: 5_000,
    async round(transaction) {
      const due = await listDueSchedules(transaction, LATENESS_MS, failed.resting(Date.now()), BATCH);
      let more = due.length === BATCH;
      for (const scheduleId of due) {
        try {
          const settled = await dataSource.transaction((own) => settleFire(own, scheduleId));
          more ||= settled.more;
          failed.succeed(scheduleId);
        } catch (error) {
          const count = failed.fail(scheduleId, Date.now());
          logger.warn({ err: error, scheduleId, count }, 'a schedule could not be settled');
        }
      }
      return { more };
    },
  };
}
