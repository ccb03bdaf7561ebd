import { setImmediate } from 'node:timers/promises';
import { iterateInstants, type Recurrence } from '@fettle/calendar';

export interface CountLimits {
  readonly max: number;
  /** Of reckoning, without what others did meanwhile. */
  readonly budgetMs: number;
  /** Milliseconds of a clock that only goes on. */
  readonly clockMs?: () => number;
}

/** Reckoned in one go before others of the same thread have their turn. */
const STRETCH_MS = 10;
const MAX_STRETCH = 1000;

/** How many instants lie in (after, upTo]; a text says why that was not counted to its end. */
export async function countInstants(
  recurrence: Recurrence,
  range: { readonly after: Date; readonly upTo: Date },
  { max, budgetMs, clockMs = () => performance.now() }: CountLimits,
): Promise<number | string> {
  let [count, spentMs, stretch, sinceMs] = [0, 0, 0, clockMs()];
  for (const _ of iterateInstants(recurrence, range.after.getTime() + 1, range.upTo.getTime() + 1)) {
    count += 1;
    if (count > max) return `there are more than ${max} instants`;
    stretch += 1;
    const ms = clockMs() - sinceMs;
    if (spentMs + ms > budgetMs) return `to count its instants takes longer than ${budgetMs} ms`;
    if (ms < STRETCH_MS && stretch < MAX_STRETCH) continue;
    await setImmediate();
    [spentMs, stretch, sinceMs] = [spentMs + ms, 0, clockMs()];
  }
  return count;
}
