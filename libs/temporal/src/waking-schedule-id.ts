import type { TemporalClient } from './connect.js';

/**
 * What Temporal calls an entry that wakes schedules: several installations may share a namespace, each with a task queue of its own. An
 * entry of before, of one schedule alone, is called as that was.
 */
export function wakingScheduleId({ taskQueue }: Pick<TemporalClient, 'taskQueue'>, wakeId: string): string {
  return wakeId.startsWith('schedule-') ? wakeId : `${wakeId}-${taskQueue}`;
}
