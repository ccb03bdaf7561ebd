import { FettleError, type Schedule } from '@fettle/contracts';
import { nextInstants, timingText, type Instant } from '@fettle/calendar';
import type { StoredFire, StoredSchedule } from '@fettle/database';
import { fireView } from './fire-view.js';
import { recurrenceOf } from './recurrence-of.js';

const shownNextFires = 5;
export const shownLastFires = 10;

/** What the API says of a schedule, with its next instants after `now`; paused or quarantined it has none, for it starts nothing. */
export function scheduleView(schedule: StoredSchedule, lastFires: readonly StoredFire[], now: Date): Schedule {
  const { spec } = schedule.document;
  const isActive = schedule.pausedAt === null && schedule.quarantineReason === null;
  const next = isActive ? nextOf(schedule, now) : [];
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
            until: schedule.pausedUntil?.toISOString() ?? null,
            by: schedule.pausedBy ?? 'unknown',
            reason: schedule.pauseReason ?? '',
          },
    waiting: schedule.waiting,
    quarantineReason: schedule.quarantineReason,
    nextFires: next.map(({ at, local, note }) => ({ at, local, note })),
    lastFires: lastFires.map(fireView),
  };
}

/** One that cannot be reckoned must not hide the others: the next settling quarantines it. */
function nextOf(schedule: StoredSchedule, after: Date): readonly Instant[] {
  try {
    return nextInstants({ ...recurrenceOf(schedule.document), after, count: shownNextFires });
  } catch (error) {
    if (error instanceof FettleError) return [];
    throw error;
  }
}
