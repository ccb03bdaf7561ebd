import { z } from 'zod';

/**
 * What somebody may be told of a schedule, beside what the notifications of its runbook tell of its runs. `deadline-missed`:
 * `mustStartBy` or `mustFinishBy` cannot be met any more. `refused`: an instant could not start its run. `missed`: an instant came to be
 * looked at later than `catchUp` allows. `quarantined`: the schedule cannot be reckoned and starts nothing.
 */
export const scheduleNotifyStates = ['deadline-missed', 'refused', 'missed', 'quarantined'] as const;
export type ScheduleNotifyState = (typeof scheduleNotifyStates)[number];

/** Tells somebody what became of a schedule. */
export const scheduleNotificationSchema = z.strictObject({
  on: z.array(z.enum(scheduleNotifyStates)).min(1).max(scheduleNotifyStates.length),
  /** An action that notifies: `notify.webhook` or `notify.mail`. */
  uses: z.string().min(1).max(100),
  /** The action's input as it is, without expressions; what happened is filled in where the action asks for it and it is not given. */
  with: z.record(z.string(), z.unknown()).default({}),
});
export type ScheduleNotification = z.infer<typeof scheduleNotificationSchema>;

export const scheduleNotifyShape = {
  /** Absent: nobody is told. */
  notify: z.array(scheduleNotificationSchema).min(1).max(20).optional(),
};
