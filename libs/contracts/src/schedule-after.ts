import { z } from 'zod';
import { durationSchema } from './duration.js';
import { nameSchema } from './ids.js';

/** Due when a run of another schedule has ended; instead of a recurrence, or besides one. */
export const scheduleAfterSchema = z.strictObject({
  /** Name of a schedule in the same space. */
  schedule: nameSchema,
  /** How that run has to end; `completion`: in any way. */
  on: z.enum(['success', 'failure', 'completion']).default('success'),
  /** How late after that end it may still start; absent: `catchUp`. */
  within: durationSchema.optional(),
});
export type ScheduleAfter = z.infer<typeof scheduleAfterSchema>;

export function afterText({ schedule, on }: Pick<ScheduleAfter, 'schedule' | 'on'>): string {
  return `after ${schedule} ${{ success: 'succeeds', failure: 'fails', completion: 'ends' }[on]}`;
}
