import type { Schedule } from '@fettle/contracts';
import { nextInstants, timingText } from '@fettle/calendar';
import type { StoredFire, StoredSchedule } from '@fettle/database';
import { recurrenceOf } from './recurrence-of.js';

const shownNextFires = 5;
export const shownLastFires = 10;

/** What the API says of a schedule, with its next instants after `now`; paused or quarantined it has none, for it starts nothing. */
export function scheduleView(schedule: StoredSchedule, lastFires: readonly StoredFire[], now: Date): Schedule {
  const { spec } = schedule.document;
  const isActive = schedule.pausedAt === null && schedule.quarantineReason === null;
  const next = isActive ? nextInstants({ ...recurrenceOf(schedule.document), after: now, count: shownNextFires }) : [];
  return {
    space: schedule.space,
    name: schedule.name,
    runbook: spec.runbook,
    cron: spec.cron ?? null,
    when: timingText(spec),
    timeZone: spec.timeZone,
    paused:
      schedule.pausedAt === null
        ? null
        : {
            since: schedule.pausedAt.toISOString(),
            by: schedule.pausedBy ?? 'unknown',
            reason: schedule.pauseReason ?? '',
          },
    quarantineReason: schedule.quarantineReason,
    nextFires: next.map(({ at, local, note }) => ({ at, local, note })),
    lastFires: lastFires.map((fire) => ({
      nominalAt: fire.nominalAt.toISOString(),
      outcome: fire.outcome,
      reason: fire.reason,
      runId: fire.runId,
      settledAt: fire.settledAt.toISOString(),
    })),
  };
}
