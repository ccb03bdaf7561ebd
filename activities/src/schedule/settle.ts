import { scheduleWaitingForRun } from '@fettle/database';
import { settleFire } from '@fettle/operations';
import type { DataSource } from 'typeorm';
import type { WorkerServices } from '../run/services.js';

/** More rounds than this in one wake-up are left to the reconciler. */
const MAX_ROUNDS = 20;

/** The activities of schedules, bound to a data source. */
export function scheduleActivities(services: { readonly dataSource: DataSource }) {
  return {
    /** Local activity. Twice is the same as once. */
    async settleSchedule(scheduleId: string): Promise<void> {
      for (let round = 0; round < MAX_ROUNDS; round += 1) {
        const settled = await services.dataSource.transaction((transaction) => settleFire(transaction, scheduleId));
        if (!settled.more) return;
      }
    },
  };
}

export type ScheduleActivities = ReturnType<typeof scheduleActivities>;

/**
 * A run has ended: what its schedule has queued behind it starts now, and not with the next round of the reconciler. That this fails
 * is no fault of the run, and the reconciler comes soon.
 */
export async function settleAfterRun(
  { dataSource, logger }: Pick<WorkerServices, 'dataSource' | 'logger'>,
  runId: string,
): Promise<void> {
  try {
    const scheduleId = await scheduleWaitingForRun(dataSource.manager, runId);
    if (scheduleId === null) return;
    await dataSource.transaction((transaction) => settleFire(transaction, scheduleId));
  } catch (error) {
    logger.warn({ err: error, runId }, 'what waits for the end of this run could not be settled yet');
  }
}
