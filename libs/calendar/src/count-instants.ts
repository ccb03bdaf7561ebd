import { iterateInstants } from './instants.js';
import type { Recurrence } from './recurrence.js';
import { timeMs, type Time } from './time.js';

/** How many instants lie in (after, upTo]; null: more than `max`. */
export function countInstants(
  schedule: Recurrence,
  range: { readonly after: Time; readonly upTo: Time; readonly max: number },
): number | null {
  let count = 0;
  for (const _ of iterateInstants(schedule, timeMs(range.after) + 1, timeMs(range.upTo) + 1)) {
    count += 1;
    if (count > range.max) return null;
  }
  return count;
}
