import { listDueSchedules } from '@fettle/database';
import { settleFire } from '@fettle/operations';
import type { Logger } from 'pino';
import type { BackgroundTask } from './run-loop.js';

/** Temporal's own wake-up normally comes first; this is for when it does not. */
const LATENESS_MS = 3_000;
const BATCH = 100;

/** Settles schedules that are due though nobody woke them: Temporal was away, or its entry is missing. */
export function settleSchedules(logger: Logger): BackgroundTask {
  return {
    name: 'settle-schedules',
    intervalMs: 5_000,
    async round(transaction) {
      const due = await listDueSchedules(transaction, LATENESS_MS, BATCH);
      let more = false;
      for (const scheduleId of due) {
        try {
          // A savepoint each: one schedule that cannot be settled never delays another.
          const settled = await transaction.transaction((nested) => settleFire(nested, scheduleId, new Date()));
          more ||= settled.more;
        } catch (error) {
          logger.warn({ err: error, scheduleId }, 'a schedule could not be settled');
        }
      }
      return { more };
    },
  };
}
