import type { Schedule } from '@fettle/contracts';
import { pauseScheduleRow } from '@fettle/database';
import type { OperationContext } from './context.js';
import { getSchedule, requireSchedule, type ScheduleKey } from './list-schedules.js';
import { recordAudit } from './record-audit.js';
import { requireUnnarrowed } from './require-unnarrowed.js';
import { settlePending } from './resume-schedule.js';

/**
 * Pauses a schedule: its instants from now on are settled as skipped. Pausing a paused one puts a new reason, and whose it is,
 * in place of the one before; the same reason changes nothing. @throws FettleError `not-found`, `denied`.
 */
export async function pauseSchedule(
  context: OperationContext,
  key: ScheduleKey,
  request: { readonly reason: string },
): Promise<Schedule> {
  const { transaction, actor } = context;
  requireUnnarrowed(context, 'schedule:operate', key.space);
  const schedule = await requireSchedule(transaction, key, { lock: true });
  if (schedule.pausedAt === null || schedule.pauseReason !== request.reason) {
    if (schedule.pausedAt === null) await settlePending(transaction, schedule.id);
    await pauseScheduleRow(transaction, { id: schedule.id, by: actor.name, reason: request.reason });
    await recordAudit(context, {
      action: 'schedule.pause',
      space: key.space,
      object: { kind: 'Schedule', name: key.name, id: schedule.id },
      detail:
        schedule.pausedAt === null
          ? { reason: request.reason }
          : {
              reason: request.reason,
              previousReason: schedule.pauseReason,
              pausedSince: schedule.pausedAt.toISOString(),
            },
    });
  }
  return getSchedule(transaction, key);
}
