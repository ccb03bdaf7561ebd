import type { DetachedMemory } from '../implementation.js';
import type { AttemptLog } from './attempt-log.js';

/** What this process read of a command that runs detached: the next look goes on where this one stopped. */
export interface ParkedOutput {
  readonly log: AttemptLog;
  readonly memory: DetachedMemory;
}

/** Beyond this the oldest are forgotten: their output is then read again from its beginning. */
const MAX_PARKED = 1_000;

const byToken = new Map<string, ParkedOutput>();

/** Outputs of detached commands that this process looked at last; another process may have looked since. */
export const parkedHere = {
  keep(token: string, output: ParkedOutput): void {
    byToken.delete(token);
    const [oldest] = byToken.keys();
    if (byToken.size >= MAX_PARKED && oldest !== undefined) byToken.delete(oldest);
    byToken.set(token, output);
  },

  /** Gives it back where exactly what it wrote stands in the log. */
  take(token: string, logged: Readonly<Record<'stdout' | 'stderr', number>>): ParkedOutput | undefined {
    const known = byToken.get(token);
    byToken.delete(token);
    return known?.log.hasWritten(logged) === true ? known : undefined;
  },
};
