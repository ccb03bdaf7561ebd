import type { WakingSpec, WakingTimes } from '@fettle/contracts';
import { DAY_MS } from './days.js';
import { iterateInstants } from './instants.js';
import { nominalInstants } from './nominal.js';
import type { CronRecurrence, Recurrence } from './recurrence.js';
import { MAX_TIME_MS, timeMs, utcText, type Time } from './time.js';
import { zoneOf } from './zone.js';

/** How many single instants are placed ahead for a schedule that Temporal has no rule for. */
export const EXPLICIT_ENTRIES = 100;
/** How far ahead instants are placed that a rule of Temporal's leaves out: those that a change of clocks shifts. */
const SHIFTED_AHEAD_DAYS = 400;
/** An instant so near may be told by one side and not by the other. */
const NEAR_MS = 2_000;

/**
 * When Temporal is to wake a schedule. What it can express is a rule that goes on by itself: intervals, and cron fields without special
 * days. All else is computed here and placed as single instants: `placedUntil` is the last of them, null where a rule goes on.
 */
export function wakingSpec(
  recurrence: Recurrence,
  now: Time,
): { readonly waking: WakingSpec; readonly placedUntil: string | null } {
  const nowMs = timeMs(now);
  const bounds = {
    start: recurrence.start === undefined ? null : utcText(timeMs(recurrence.start)),
    // Exclusive here, inclusive there: the last whole second before it.
    end: recurrence.end === undefined ? null : utcText(timeMs(recurrence.end) - 1),
  };
  const none = { times: [], interval: null, entries: [] } as const;
  if (recurrence.jitter === undefined && 'interval' in recurrence) {
    const { everyMs, phaseMs } = recurrence.interval;
    return { waking: { timeZone: 'UTC', ...none, ...bounds, interval: { everyMs, phaseMs } }, placedUntil: null };
  }
  if (isPlainCron(recurrence)) {
    const entries = shiftedInstants(recurrence, nowMs);
    const { timeZone } = recurrence;
    return { waking: { timeZone, ...none, ...bounds, times: cronTimes(recurrence), entries }, placedUntil: null };
  }
  const entries = firstInstants(recurrence, nowMs, EXPLICIT_ENTRIES);
  return {
    waking: { timeZone: 'UTC', ...none, start: null, end: null, entries },
    // The last one is no end where there are fewer than may be placed.
    placedUntil: entries.length < EXPLICIT_ENTRIES ? null : (entries.at(-1) ?? null),
  };
}

function isPlainCron(recurrence: Recurrence): recurrence is CronRecurrence {
  if (!('cron' in recurrence) || recurrence.jitter !== undefined || recurrence.roll !== undefined) return false;
  const { lastDays, nearestWeekdays, lastWeekdays, nthDaysOfWeek } = recurrence.cron;
  return [lastDays, nearestWeekdays, lastWeekdays, nthDaysOfWeek].every((special) => special === undefined);
}

/** Temporal wants all fields to match, so days of the month and of the week that are either-or are two rules. */
function cronTimes({ cron }: CronRecurrence): WakingTimes[] {
  const { seconds, minutes, hours, months, daysOfMonth, daysOfWeek } = cron;
  const times = { seconds, minutes, hours, months };
  if (daysOfMonth === null || daysOfWeek === null) return [{ ...times, daysOfMonth, daysOfWeek }];
  return [
    { ...times, daysOfMonth, daysOfWeek: null },
    { ...times, daysOfMonth: null, daysOfWeek },
  ];
}

/** Instants that the clock jumped over and that are shifted: Temporal leaves those out. */
function shiftedInstants(recurrence: CronRecurrence, nowMs: number): string[] {
  if (recurrence.cron.followsElapsedTime || recurrence.gap === 'skip') return [];
  const zone = zoneOf(recurrence.timeZone);
  const found: string[] = [];
  const firstDay = Math.floor(nowMs / DAY_MS);
  for (let day = firstDay - 1; day <= firstDay + SHIFTED_AHEAD_DAYS; day += 1) {
    for (const { atMs, beforeMs, afterMs } of zone.transitionsOfDay(day)) {
      if (afterMs <= beforeMs) continue;
      // A gap shifts by its own length at most.
      for (const instant of iterateInstants(recurrence, Math.max(atMs, nowMs), atMs + 2 * (afterMs - beforeMs))) {
        if (instant.note === 'gap-shifted' && found.length < EXPLICIT_ENTRIES) found.push(utcText(instant.atMs));
      }
    }
  }
  return found;
}

function firstInstants(recurrence: Recurrence, afterMs: number, count: number): string[] {
  const found: string[] = [];
  for (const { atMs } of iterateInstants(recurrence, afterMs + 1, MAX_TIME_MS)) {
    found.push(utcText(atMs));
    if (found.length >= count) break;
  }
  return found;
}

/** What Temporal would do otherwise than the calendar says. */
export interface WakingDifference {
  /** Instants at which it would not wake. */
  readonly missing: readonly string[];
  /** Times at which it would wake without there being an instant, nor one that a policy or exclusion skips. */
  readonly extra: readonly string[];
  /** Nothing but instants are missing that a change of clocks shifts and that come nearer now: to be placed, and no fault. */
  readonly isDue: boolean;
}

/**
 * Compares the next instants that Temporal tells (ascending) with those of the calendar; null: they agree. `told`: how many
 * it tells at most, so that a shorter list is all that it will do; `until`: the last instant that was placed, where single ones are.
 */
export function compareWaking(
  recurrence: Recurrence,
  wakings: readonly number[],
  { now, told, until }: { readonly now: Time; readonly told: number; readonly until?: Time | null },
): WakingDifference | null {
  const fromMs = timeMs(now) + NEAR_MS;
  const later = wakings.filter((atMs) => atMs > fromMs);
  const endMs = until === undefined || until === null ? Infinity : timeMs(until);
  const lastMs = wakings.length < told ? endMs : (wakings.at(-1) ?? endMs);
  const known = new Set(later);
  const missing: { readonly atMs: number; readonly isShifted: boolean }[] = [];
  const own = new Set<number>();
  for (const { atMs, note } of iterateInstants(recurrence, fromMs + 1, Math.min(lastMs + 1, MAX_TIME_MS))) {
    own.add(atMs);
    if (!known.has(atMs)) missing.push({ atMs, isShifted: note === 'gap-shifted' });
    if (own.size >= told) break;
  }
  const skipped = new Set<number>();
  const end = Math.min((later.at(-1) ?? fromMs) + 1, MAX_TIME_MS);
  const unexplained = later.filter((atMs) => !own.has(atMs));
  if (unexplained.length > 0)
    for (const { atMs } of nominalInstants(recurrence, true).iterate(fromMs + 1, end)) skipped.add(atMs);
  const extra = unexplained.filter((atMs) => !skipped.has(atMs) && !isInstant(recurrence, atMs));
  if (missing.length === 0 && extra.length === 0) return null;
  return {
    missing: missing.map(({ atMs }) => utcText(atMs)),
    extra: extra.map(utcText),
    isDue: extra.length === 0 && missing.every(({ isShifted }) => isShifted),
  };
}

function isInstant(recurrence: Recurrence, atMs: number): boolean {
  for (const _ of iterateInstants(recurrence, atMs, atMs + 1)) return true;
  return false;
}
