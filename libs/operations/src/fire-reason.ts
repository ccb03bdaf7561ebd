import type { FireCode, FireVerdict } from '@fettle/calendar';
import type { StoredFire } from '@fettle/database';

/** What was known of a schedule when a fire was decided. */
export interface FireCircumstances {
  readonly pausedBy: string | null;
  readonly pauseReason: string | null;
  readonly openRunIds: readonly string[];
}

const texts: Readonly<Record<Exclude<FireCode, ''>, string>> = {
  paused: 'the schedule was paused',
  overlap: 'a run of this schedule was still under way',
  'queue-full': 'as many fires as may were waiting already',
  late: 'nobody could start it within the catch-up limit',
  superseded: 'a later instant stands for it',
  window: 'it is outside of the maintenance windows',
  freeze: 'changes are frozen',
  holiday: 'it is a holiday',
};

/** Why a fire has its outcome, in the words of the ledger. */
export function fireReason(verdict: FireVerdict, waited: StoredFire['waited'] = null): string {
  const { outcome, code, latenessMs, calendar, dueAt } = verdict;
  if (outcome === 'caught-up') return `started ${Math.round(latenessMs / 1000)} s late`;
  if (code === '') {
    if (waited === 'queued') return 'due, and the run before it had ended';
    return waited === 'deferred' ? 'due, and the calendar had opened' : 'due';
  }
  const text = calendar === null ? texts[code] : `${texts[code]} (calendar ${calendar})`;
  if (outcome === 'queued') return `${text}: it waits for its end`;
  return outcome === 'deferred' ? `${text}: it waits for the opening at ${dueAt ?? 'a time not known'}` : text;
}

/** What the reason rests on. */
export function fireEvidence(verdict: FireVerdict, known: FireCircumstances): Readonly<Record<string, unknown>> {
  const { code, latenessMs, calendar, dueAt } = verdict;
  return {
    latenessMs,
    ...(calendar === null ? {} : { calendar }),
    ...(dueAt === null ? {} : { opensAt: dueAt }),
    ...(code === 'paused' ? { pausedBy: known.pausedBy, pauseReason: known.pauseReason } : {}),
    ...(code === 'overlap' || code === 'queue-full' ? { openRuns: known.openRunIds } : {}),
  };
}
