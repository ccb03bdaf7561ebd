import { FettleError, type PauseRequest, type Schedule } from '@fettle/contracts';
import { forgetFailures, pauseScheduleRow } from '@fettle/database';
import { MAX_TIME_MS } from '@fettle/calendar';
import type { OperationContext } from './context.js';
import { getSchedule, requireSchedule, type ScheduleKey } from './list-schedules.js';
import { recordAudit } from './record-audit.js';
import { requireUnnarrowed } from './require-unnarrowed.js';
import { settlePending } from './resume-schedule.js';

/**
 * Pauses a schedule: its instants from now on are settled as skipped, until the end that may be given, and so is what waits of it.
 * Pausing a paused one puts a new reason, another end, and whose it is, in place of those before; the same changes nothing.
 * @throws FettleError `not-found`, `denied`, `invalid-request` where the end has passed, or is later than can be reckoned.
 */
export async function pauseSchedule(
  context: OperationContext,
  key: ScheduleKey,
  request: PauseRequest,
): Promise<Schedule> {
  const { transaction, actor } = context;
  requireUnnarrowed(context, 'schedule:operate', key.space);
  const schedule = await requireSchedule(transaction, key, { lock: true });
  const until = request.until === undefined ? null : new Date(request.until);
  if (until !== null && until <= new Date()) throw passedError(until);
  if (until !== null && until.getTime() > MAX_TIME_MS) throw farError(until);
  const isSame = schedule.pauseReason === request.reason && schedule.pausedUntil?.getTime() === until?.getTime();
  if (schedule.pausedAt === null || !isSame) {
    if (schedule.pausedAt === null) await settlePending(transaction, schedule.id);
    await pauseScheduleRow(transaction, { id: schedule.id, by: actor.name, reason: request.reason, until });
    // Whoever puts his own pause in the place of one that a failure made has decided on that failure.
    if (schedule.pausedBy === 'system') await forgetFailures(transaction, schedule.id);
    // What waits ends now, not with the next instant.
    if (schedule.pausedAt === null) await settlePending(transaction, schedule.id);
    await recordAudit(context, {
      action: 'schedule.pause',
      space: key.space,
      object: { kind: 'Schedule', name: key.name, id: schedule.id },
      detail: {
        reason: request.reason,
        ...(until === null ? {} : { until: until.toISOString() }),
        ...(schedule.pausedAt === null
          ? {}
          : { previousReason: schedule.pauseReason, pausedSince: schedule.pausedAt.toISOString() }),
      },
    });
  }
  return getSchedule(transaction, key);
}

function farError(until: Date): FettleError {
  return new FettleError({
    code: 'invalid-request',
    message: `The end of the pause, ${until.toISOString()}, lies beyond ${new Date(MAX_TIME_MS).toISOString()}.`,
    remedy: 'Give none: then it stays paused until somebody resumes it.',
  });
}

function passedError(until: Date): FettleError {
  return new FettleError({
    code: 'invalid-request',
    message: `The end of the pause, ${until.toISOString()}, has passed.`,
    remedy: 'Give a time that is to come, or none: then it stays paused until somebody resumes it.',
  });
}
