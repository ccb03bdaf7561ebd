import { FettleError, type Schedule } from '@fettle/contracts';
import { forgetFailures, resumeScheduleRow, type Transaction } from '@fettle/database';
import type { OperationContext } from './context.js';
import { getSchedule, requireSchedule, type ScheduleKey } from './list-schedules.js';
import { recordAudit } from './record-audit.js';
import { requireUnnarrowed } from './require-unnarrowed.js';
import { settleFire } from './settle-fire.js';

/** Pages of ten thousand instants; schedules are settled by their own fires all along, so few are ever left. */
const maxPages = 10;

/**
 * Resumes a schedule: instants of the pause that are not settled yet are settled as skipped first, so that none of them is
 * caught up afterwards. Resuming one that is not paused changes nothing. @throws FettleError `not-found`, `denied`, `conflict`.
 */
export async function resumeSchedule(context: OperationContext, key: ScheduleKey): Promise<Schedule> {
  const { transaction } = context;
  requireUnnarrowed(context, 'schedule:operate', key.space);
  const schedule = await requireSchedule(transaction, key, { lock: true });
  if (schedule.pausedAt !== null) {
    await settlePending(transaction, schedule.id);
    await resumeScheduleRow(transaction, schedule.id);
    await forgetFailures(transaction, schedule.id);
    await recordAudit(context, {
      action: 'schedule.resume',
      space: key.space,
      object: { kind: 'Schedule', name: key.name, id: schedule.id },
      detail: { pausedSince: schedule.pausedAt.toISOString() },
    });
  }
  return getSchedule(transaction, key);
}

/**
 * Settles what is due up to now under the schedule's state as it is, before that state changes. @throws FettleError `conflict`
 * where that is more than `maxPages`: what is left would be settled under the new state.
 */
export async function settlePending(transaction: Transaction, scheduleId: string): Promise<void> {
  for (let page = 0; page < maxPages; page += 1) {
    const { more } = await settleFire(transaction, scheduleId);
    if (!more) return;
  }
  throw new FettleError({
    code: 'conflict',
    message: 'Too many instants of this schedule are still to be settled before its state can change.',
    remedy: 'They are settled in the background; try again in some minutes.',
    detail: { scheduleId },
  });
}
