import { durationSchema } from './duration.js';

/** By when a run of a schedule must have got on; each a time after the instant (or the end that it follows). */
export const scheduleDeadlineShape = {
  mustStartBy: durationSchema.optional(),
  mustFinishBy: durationSchema.optional(),
};
