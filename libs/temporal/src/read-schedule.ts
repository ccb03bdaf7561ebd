import { ScheduleNotFoundError } from '@temporalio/client';
import type { TemporalClient } from './connect.js';
import { wakingScheduleId } from './waking-schedule-id.js';

const CALL_TIMEOUT_MS = 10_000;
/** Temporal tells no more instants than this. */
export const TOLD_INSTANTS = 10;

/**
 * When an entry of Temporal's will wake schedules next, ascending, at most `TOLD_INSTANTS`; none where somebody paused it there; null: it has no
 * such entry.
 */
export async function readNextWakings(temporal: TemporalClient, wakeId: string): Promise<readonly number[] | null> {
  try {
    const { info, state } = await temporal.client.withDeadline(Date.now() + CALL_TIMEOUT_MS, () =>
      temporal.client.schedule.getHandle(wakingScheduleId(temporal, wakeId)).describe(),
    );
    if (state.paused) return [];
    return info.nextActionTimes.map((at) => at.getTime()).sort((a, b) => a - b);
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) return null;
    throw error;
  }
}
