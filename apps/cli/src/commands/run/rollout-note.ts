import type { Entry } from '@fettle/contracts';
import { duration, oneLine } from '../../output/text.js';

/** What an entry about the waves of a run says to whoever follows it; null: it is about something else. */
export function rolloutNote({ kind, data }: Entry): string | null {
  const count = (name: string): number => Number(data[name] ?? 0);
  const wave = `Wave ${count('wave')} of ${count('of')}`;
  const targets = (number: number): string => `${number} target${number === 1 ? '' : 's'}`;
  if (kind === 'wave-started') return `${wave}: ${targets(count('targets'))}.`;
  if (kind === 'wave-ended' && count('soakMs') > 0) {
    return `${wave} has ended; the next one begins in ${duration(count('soakMs'))}.`;
  }
  const reason = typeof data['reason'] === 'string' ? data['reason'] : '';
  const gate = `he gate after wave ${count('wave')} of ${count('of')}`;
  if (kind === 'gate-passed') return `T${gate} is open.`;
  if (kind === 'gate-closed') return `Stopped: t${gate} did not open: ${oneLine(reason)}`;
  if (kind !== 'rollout-stopped') return null;
  return `Stopped: ${targets(count('failures'))} failed, more than the limit of ${count('maxFailures')}; ${targets(count('undispatched'))} not dispatched.`;
}
