import { localTime } from '@fettle/calendar';
import type { StoredSchedule } from '@fettle/database';
import type { Coming } from './forecast-coming.js';
import { MAX_INSTANTS_EACH, type ComingInstant } from './forecast-schedules.js';

/** Whether runs of others are reckoned to start it: that one fails is expected of none. */
export function isFollower({ document }: StoredSchedule): boolean {
  const { after } = document.spec;
  return after !== undefined && after.on !== 'failure';
}

/** Each after the one that it follows, where that is among them. */
export function inOrderOfFollowing(schedules: readonly StoredSchedule[]): StoredSchedule[] {
  const left = new Map(schedules.map((schedule) => [schedule.name, schedule]));
  const ordered: StoredSchedule[] = [];
  while (left.size > 0) {
    const ready = [...left.values()].filter(({ document }) => !left.has(document.spec.after?.schedule ?? ''));
    // A circle, which apply refuses: its members come as they stand.
    const next = ready.length > 0 ? ready : [...left.values()];
    for (const one of next) left.delete(one.name);
    ordered.push(...next);
  }
  return ordered;
}

export interface Followed {
  /** The schedule that is followed; undefined: nothing of it comes. */
  readonly before: Coming | undefined;
  /** When its open runs are expected to have ended. */
  readonly openEndsMs: readonly number[];
}

/** When a schedule is due because another one's runs are expected to have ended, and to have succeeded. */
export function followingInstants(
  schedule: StoredSchedule,
  { before, openEndsMs }: Followed,
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
  limits: string[],
): ComingInstant[] {
  const { name, document, pausedAt, pausedUntil } = schedule;
  const { after, timeZone } = document.spec;
  if (after === undefined) return [];
  const starts = before === undefined || before.broken !== null ? [] : before.outcomes;
  const ends = [...openEndsMs, ...starts.flatMap(({ endMs }) => (endMs === null ? [] : [endMs]))];
  const resumesMs = pausedAt === null ? fromMs : (pausedUntil?.getTime() ?? toMs);
  const found = ends
    .map((endMs) => Math.ceil(endMs / 1000) * 1000)
    .filter((endMs) => endMs >= Math.max(fromMs, resumesMs) && endMs < toMs)
    .sort((left, right) => left - right);
  if (found.length > MAX_INSTANTS_EACH)
    limits.push(`schedule ${name} follows more than ${MAX_INSTANTS_EACH} runs: the others were not looked at`);
  return found.slice(0, MAX_INSTANTS_EACH).map((atMs) => {
    const at = new Date(atMs);
    return { at: at.toISOString(), local: localTime(at, timeZone), note: '', waits: null, follows: after };
  });
}
