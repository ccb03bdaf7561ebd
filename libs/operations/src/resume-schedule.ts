import { durationMs, type Schedule } from '@fettle/contracts';
import { parseCron, settleInstants } from '@fettle/calendar';
import { recordSkippedFires, resumeScheduleRow, type StoredSchedule } from '@fettle/database';
import type { OperationContext } from './context.js';
import { getSchedule, requireSchedule, type ScheduleKey } from './list-schedules.js';
import { recordAudit } from './record-audit.js';
import { requireUnnarrowed } from './require-unnarrowed.js';

/** Pages of a thousand instants; a pause is settled all along by its own fires, so few are ever left. */
const maxPages = 100;

/**
 * Resumes a schedule: instants of the pause that are not settled yet are recorded as skipped, so that none of them is caught up
 * afterwards. Resuming one that is not paused changes nothing. @throws FettleError `not-found`, `denied`.
 */
export async function resumeSchedule(context: OperationContext, key: ScheduleKey): Promise<Schedule> {
  const { transaction } = context;
  requireUnnarrowed(context, 'schedule:operate', key.space);
  const schedule = await requireSchedule(transaction, key, { lock: true });
  if (schedule.pausedAt !== null) {
    await settlePause(context, schedule, schedule.pausedAt);
    await resumeScheduleRow(transaction, schedule.id);
    await recordAudit(context, {
      action: 'schedule.resume',
      space: key.space,
      object: { kind: 'Schedule', name: key.name, id: schedule.id },
      detail: { pausedSince: schedule.pausedAt.toISOString() },
    });
  }
  return getSchedule(transaction, key);
}

/** Rows in the ledger are unique by instant, so what is recorded here can never fire, wherever the watermark stands. */
async function settlePause(context: OperationContext, schedule: StoredSchedule, pausedAt: Date): Promise<void> {
  const { spec } = schedule.document;
  const now = new Date();
  let watermark: Date | string = schedule.watermark;
  for (let page = 0; page < maxPages; page += 1) {
    const settled = settleInstants({
      schedule: { cron: parseCron(spec.cron), timeZone: spec.timeZone },
      watermark,
      now,
      catchUpMs: durationMs(spec.catchUp),
      paused: [{ from: pausedAt, to: null }],
      overlapRunning: false,
      overlap: spec.overlap,
    });
    const skipped = settled.decisions.filter((decision) => decision.outcome === 'skipped');
    await recordSkippedFires(
      context.transaction,
      schedule.id,
      skipped.map(({ nominalAt, reason }) => ({ nominalAt: new Date(nominalAt), reason })),
    );
    watermark = settled.watermark;
    if (!settled.more) return;
  }
}
