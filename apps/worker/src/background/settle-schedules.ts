import { listDueSchedules, lockIdleSchedules } from '@fettle/database';
import { SCHEDULES_OF_SET, settleFire, settleFires, type SettledSet } from '@fettle/operations';
import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import { RestList } from './rest-list.js';
import type { BackgroundTask } from './run-loop.js';

/** Temporal's own wake-up normally comes first; this is for when it does not. */
const LATENESS_MS = 3_000;
const BATCH = 100;

/**
 * Settles schedules that are due though nobody woke them: Temporal was away, or its entry is missing. The plain ones together, the
 * others each in a transaction of its own, beside the one that holds the task's lock: one that waits, fails or breaks its connection
 * costs no other anything.
 */
export function settleSchedules(dataSource: DataSource, logger: Pick<Logger, 'warn'>): BackgroundTask {
  const failed = new RestList();
  return {
    name: 'settle-schedules',
    intervalMs: 5_000,
    async round(transaction) {
      const due = await listDueSchedules(transaction, LATENESS_MS, failed.resting(Date.now()), BATCH);
      let more = due.length === BATCH;
      const alone: string[] = [];
      for (let from = 0; from < due.length; from += SCHEDULES_OF_SET) {
        const set = await settleTogether(dataSource, due.slice(from, from + SCHEDULES_OF_SET));
        alone.push(...set.alone);
        for (const [id, isMore] of set.settled) {
          more ||= isMore;
          failed.succeed(id);
        }
      }
      for (const scheduleId of alone) {
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

async function settleTogether(dataSource: DataSource, ids: readonly string[]): Promise<SettledSet> {
  try {
    return await dataSource.transaction(async (own) => settleFires(own, await lockIdleSchedules(own, ids)));
  } catch {
    // Whose fault it is shows when each is settled alone.
    return { settled: new Map(), alone: ids };
  }
}
