import type { TemporalClient } from './connect.js';

/** What Temporal calls an entry that wakes schedules: several installations may share a namespace, each with a task queue of its own. */
export function wakingScheduleId({ taskQueue }: Pick<TemporalClient, 'taskQueue'>, wakeId: string): string {
  return `${wakeId}-${taskQueue}`;
}
