import type { Program } from './program-nodes.js';
import type { Draft } from './state.js';

const MINUTE_MS = 60_000;
/** For a target to go through its `finally` after a cancel, beside what its steps ask for by their own timeouts. */
const FINALLY_MS = 5 * MINUTE_MS;
/** However many targets there are, and however few of them go at once. */
const LONGEST_MS = 60 * MINUTE_MS;
/** A run that is out of time is given up 10 minutes after that; the rest is for what it undoes. */
const LONGEST_OUT_OF_TIME_MS = 8 * MINUTE_MS;

/** How long the targets of a segment that was cancelled may take for their `finally`, all together. */
export function finallyLimitMs(
  { maxConcurrency }: Pick<Program, 'maxConcurrency'>,
  { counts, stop }: Pick<Draft, 'counts' | 'stop'>,
  finallySeconds: number,
): number {
  const rounds = Math.max(1, Math.ceil((counts.pending + counts.running) / maxConcurrency));
  const longestMs = stop === 'timed-out' ? LONGEST_OUT_OF_TIME_MS : LONGEST_MS;
  return Math.min(longestMs, rounds * (FINALLY_MS + finallySeconds * 1000));
}
