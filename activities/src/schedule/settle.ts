import { settleFire } from '@fettle/operations';
import type { DataSource } from 'typeorm';

/** More rounds than this in one wake-up are left to the reconciler. */
const MAX_ROUNDS = 20;

/** The activities of schedules, bound to a data source. */
export function scheduleActivities(services: { readonly dataSource: DataSource }) {
  return {
    /** Local activity. Twice is the same as once. */
    async settleSchedule(scheduleId: string): Promise<void> {
      for (let round = 0; round < MAX_ROUNDS; round += 1) {
        const settled = await services.dataSource.transaction((transaction) =>
          settleFire(transaction, scheduleId, new Date()),
        );
        if (!settled.more) return;
      }
    },
  };
}

export type ScheduleActivities = ReturnType<typeof scheduleActivities>;
