import type { ScheduleNotifications } from '@fettle/contracts';
import { listScheduleNotifications, type Transaction } from '@fettle/database';
import { requireSchedule, type ScheduleKey } from './list-schedules.js';

const shownNotifications = 50;

/** What was told of a schedule lately. @throws FettleError `not-found` */
export async function readScheduleNotifications(
  transaction: Transaction,
  key: ScheduleKey,
): Promise<ScheduleNotifications> {
  const schedule = await requireSchedule(transaction, key);
  const rows = await listScheduleNotifications(transaction, schedule.id, shownNotifications);
  return {
    schedule: schedule.name,
    items: rows.map(({ at, doneAt, nextAt, lastError, ...row }) => ({
      ...row,
      at: at.toISOString(),
      doneAt: doneAt?.toISOString() ?? null,
      nextAt: doneAt === null ? nextAt.toISOString() : null,
      error: lastError === null ? null : { code: lastError.code, message: lastError.message },
    })),
  };
}
