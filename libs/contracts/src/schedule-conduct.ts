import { z } from 'zod';
import { durationSchema } from './duration.js';

export const runOverlaps = ['skip', 'queue-one', 'queue-all', 'cancel-other', 'allow'] as const;

/** What becomes of an instant of a schedule; `libs/calendar` decides it. */
export const scheduleConductShape = {
  /** How late a fire may still start; later ones are recorded as missed. */
  catchUp: durationSchema.default('10m'),
  /**
   * While a run of the schedule goes on: `skip` this instant; start it afterwards (`queue-one`: the first one, `queue-all`: each);
   * cancel the other and start when that has ended; `allow` both.
   */
  overlap: z.enum(runOverlaps).default('skip'),
  /** Of several instants inside of the catch-up limit: none, the last or all start a run. Absent: `last`. */
  missed: z.enum(['none', 'last', 'all']).optional(),
  /** While a calendar is closed: the instant is refused, skipped, or deferred to the next opening. Absent: `skip`. */
  whenClosed: z.enum(['refuse', 'skip', 'defer']).optional(),
  /** A run that fails or times out pauses the schedule. */
  pauseOnFailure: z.boolean().optional(),
};
