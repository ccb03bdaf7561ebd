import { listDueSchedules } from '@fettle/database';
import { settleFire } from '@fettle/operations';
import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import type { BackgroundTask } from './run-loop.js';

/** Temporal's own wake-up normally comes first; this is for when it does not. */
const LATENESS_MS = 3_000;
const BATCH = 100;
/** A schedule that failed is left alone for twice as long each time, up to this: it must not keep its place in every batch. */
const MAX_BACKOFF_MS = 5 * 60_000;

/**
 * Settles schedules that are due though nobody woke them: Temporal was away, or its entry is missing. Each has a transaction of its
 * own, beside the one that holds the task's lock: one that waits, fails or breaks its connection costs no other anything.
 */
export function settleSchedules(dataSource: DataSource, logger: Pick<Logger, 'warn'>): BackgroundTask {
  /** Failures in a row by schedule, and until when it is left alone. */
  const failed = new Map<string, { count: number; untilMs: number }>();
  return {
    name: 'settle-schedules',
    intervalMs: 5_000,
    async round(transaction) {
      const resting = [...failed].filter(([, { untilMs }]) => untilMs > Date.now()).map(([id]) => id);
      const due = await listDueSchedules(transaction, LATENESS_MS, resting, BATCH);
      let more = due.length === BATCH;
      for (const scheduleId of due) {
        try {
          const settled = await dataSource.transaction((own) => settleFire(own, scheduleId, new Date()));
          more ||= settled.more;
          failed.delete(scheduleId);
        } catch (error) {
          const count = (failed.get(scheduleId)?.count ?? 0) + 1;
          const restMs = Math.min(MAX_BACKOFF_MS, 5_000 * 2 ** Math.min(count, 10));
          failed.set(scheduleId, { count, untilMs: Date.now() + restMs });
          logger.warn({ err: error, scheduleId, count }, 'a schedule could not be settled');
        }
      }
      return { more };
    },
  };
}
