import { FettleError } from '@fettle/contracts';
import type { CronSchedule } from './cron.js';
import { DAY_MS, DayFinder } from './days.js';
import { offsetText, zoneOf, type Transition, type Zone } from './zone.js';

/** What happens to a local time that the clock jumps over. */
export type GapPolicy = 'shift' | 'skip';
/** What happens to a local time that comes twice. */
export type OverlapPolicy = 'first' | 'last' | 'both';
export type InstantNote = '' | 'gap-shifted' | 'overlap-first' | 'overlap-last';

/** When a schedule is due: an expression, the zone whose clock it reads, and what to do where that clock is moved. */
export interface Recurrence {
  readonly cron: CronSchedule;
  /** IANA name. */
  readonly timeZone: string;
  /** Default `shift`: by the length of the gap, so 02:30 becomes 03:30. */
  readonly gap?: GapPolicy;
  /** Default `first`. */
  readonly overlap?: OverlapPolicy;
}

export interface Instant {
  /** UTC, e.g. `2026-03-29T01:30:00Z`. */
  readonly at: string;
  /** The same with the clock of the zone, e.g. `2026-03-29T03:30:00+02:00`. */
  readonly local: string;
  /** `overlap-first` and `overlap-last` tell which of two equal local times this is. */
  readonly note: InstantNote;
}

/** A time as ISO 8601 text (UTC where it has no offset), a Date, or milliseconds since 1970. */
export type Time = string | Date | number;

/** Most instants that one call returns. */
export const MAX_INSTANTS = 10_000;
const MIN_TIME_MS = Date.UTC(1900, 0, 1);
const MAX_TIME_MS = Date.UTC(2300, 0, 1);

/** An instant before it is written out. */
export interface RawInstant {
  readonly atMs: number;
  readonly offsetMs: number;
  readonly note: InstantNote;
}

export interface InstantsQuery extends Recurrence {
  /** Inclusive. */
  readonly from: Time;
  /** Exclusive. */
  readonly to?: Time;
  /** At most so many. One of `to` and `count` is needed. */
  readonly count?: number;
}

/**
 * The instants of a schedule in [from, to), or the first `count` from `from` on: ascending, none twice.
 * @throws FettleError `invalid-time-zone`, `invalid-time`, or `limit-exceeded` where more than `MAX_INSTANTS` lie in the range
 */
export function instants(query: InstantsQuery): Instant[] {
  const { count = MAX_INSTANTS, to } = query;
  if (to === undefined && query.count === undefined) throw new RangeError('instants needs to or count');
  if (count > MAX_INSTANTS) throw tooMany();
  const found: Instant[] = [];
  for (const instant of iterateInstants(query, timeMs(query.from), to === undefined ? MAX_TIME_MS : timeMs(to))) {
    if (found.length >= count) {
      if (query.count === undefined) throw tooMany();
      break;
    }
    found.push(written(instant));
  }
  return found;
}

/** The next `count` instants strictly after a time. */
export function nextInstants(query: Recurrence & { readonly after: Time; readonly count: number }): Instant[] {
  return query.count <= 0 ? [] : instants({ ...query, from: timeMs(query.after) + 1 });
}

/** The last instant strictly before a time, or null where there is none within 40 years. */
export function previousInstant(query: Recurrence & { readonly before: Time }): Instant | null {
  const found = previousRawInstant(query, timeMs(query.before));
  return found ? written(found) : null;
}

export function previousRawInstant(recurrence: Recurrence, beforeMs: number): RawInstant | null {
  const zone = zoneOf(recurrence.timeZone);
  const days = new DayFinder(recurrence.cron);
  let day = Math.floor((beforeMs - 1) / DAY_MS);
  const oldest = day - 41 * 366;
  while (day >= oldest) {
    const candidate = days.previous(day + 1);
    if (candidate === null) return null;
    day = Math.min(day, candidate + 1);
    let last: RawInstant | null = null;
    for (const instant of instantsOfUtcDay(recurrence, zone, days, day)) if (instant.atMs < beforeMs) last = instant;
    if (last) return last;
    day -= 1;
  }
  return null;
}

/** Instants in [fromMs, toMs), computed as they are asked for. Ends also where none comes for 40 years. */
export function* iterateInstants(recurrence: Recurrence, fromMs: number, toMs: number): Generator<RawInstant> {
  const zone = zoneOf(recurrence.timeZone);
  const days = new DayFinder(recurrence.cron);
  const endMs = Math.min(toMs, MAX_TIME_MS);
  let day = Math.floor(Math.max(fromMs, MIN_TIME_MS) / DAY_MS);
  while (day * DAY_MS < endMs) {
    // Local days begin at most 16 hours from the UTC day of the same number, so a UTC day sees its own and its neighbours.
    const candidate = days.next(day - 1);
    if (candidate === null) return;
    day = Math.max(day, candidate - 1);
    for (const instant of instantsOfUtcDay(recurrence, zone, days, day)) {
      if (instant.atMs >= endMs) return;
      if (instant.atMs >= fromMs) yield instant;
    }
    day += 1;
  }
}

function* instantsOfUtcDay(recurrence: Recurrence, zone: Zone, days: DayFinder, day: number): Generator<RawInstant> {
  const near: Transition[] = [];
  // A gap or overlap is at most a day long, so it reaches from the day before or from the day after into this one.
  for (let other = day - 2; other <= day + 1; other += 1) near.push(...zone.transitionsOfDay(other));
  if (near.length > 0) {
    yield* aroundTransitions(recurrence, zone, days, day, near);
    return;
  }
  const offsetMs = zone.offsetAtDayStart(day);
  const startMs = day * DAY_MS;
  for (const localMs of localTimes(recurrence.cron, days, startMs + offsetMs, startMs + DAY_MS + offsetMs)) {
    yield { atMs: localMs - offsetMs, offsetMs, note: '' };
  }
}

function aroundTransitions(
  recurrence: Recurrence,
  zone: Zone,
  days: DayFinder,
  day: number,
  near: readonly Transition[],
): RawInstant[] {
  const { cron } = recurrence;
  const gap = cron.followsElapsedTime ? 'skip' : (recurrence.gap ?? 'shift');
  const overlap = cron.followsElapsedTime ? 'both' : (recurrence.overlap ?? 'first');
  const startMs = day * DAY_MS;
  const endMs = startMs + DAY_MS;
  const found = new Map<number, RawInstant>();
  let fromMs = startMs;
  let offsetMs = zone.offsetAtDayStart(day);
  for (const transition of [
    ...near.filter(({ atMs }) => atMs > startMs && atMs < endMs),
    { atMs: endMs, afterMs: 0 },
  ]) {
    for (const localMs of localTimes(cron, days, fromMs + offsetMs, transition.atMs + offsetMs)) {
      const note = overlapNote(localMs - offsetMs, near);
      if (note === '' || overlap === 'both' || note === `overlap-${overlap}`)
        found.set(localMs - offsetMs, { atMs: localMs - offsetMs, offsetMs, note });
    }
    fromMs = transition.atMs;
    offsetMs = transition.afterMs;
  }
  if (gap === 'shift') {
    for (const { atMs, beforeMs, afterMs } of near) {
      if (afterMs <= beforeMs) continue;
      for (const localMs of localTimes(cron, days, atMs + beforeMs, atMs + afterMs)) {
        const shiftedMs = localMs - beforeMs;
        // Two instants that meet are one: the one that needed no shift.
        if (shiftedMs >= startMs && shiftedMs < endMs && !found.has(shiftedMs)) {
          found.set(shiftedMs, { atMs: shiftedMs, offsetMs: afterMs, note: 'gap-shifted' });
        }
      }
    }
  }
  return [...found.values()].sort((a, b) => a.atMs - b.atMs);
}

/** Whether the local time of an instant comes again later, or came before. */
function overlapNote(atMs: number, near: readonly Transition[]): InstantNote {
  for (const transition of near) {
    const lengthMs = transition.beforeMs - transition.afterMs;
    if (lengthMs <= 0) continue;
    if (atMs >= transition.atMs - lengthMs && atMs < transition.atMs) return 'overlap-first';
    if (atMs >= transition.atMs && atMs < transition.atMs + lengthMs) return 'overlap-last';
  }
  return '';
}

/** Local times (as if they were UTC) in [fromMs, toMs) that the expression names. */
function* localTimes(cron: CronSchedule, days: DayFinder, fromMs: number, toMs: number): Generator<number> {
  for (
    let day = days.next(Math.floor(fromMs / DAY_MS));
    day !== null && day * DAY_MS < toMs;
    day = days.next(day + 1)
  ) {
    for (const hour of cron.hours) {
      const hourMs = day * DAY_MS + hour * 3_600_000;
      if (hourMs + 3_600_000 <= fromMs) continue;
      if (hourMs >= toMs) return;
      for (const minute of cron.minutes) {
        const minuteMs = hourMs + minute * 60_000;
        if (minuteMs + 60_000 <= fromMs) continue;
        if (minuteMs >= toMs) return;
        for (const second of cron.seconds) {
          const timeMs = minuteMs + second * 1000;
          if (timeMs >= toMs) return;
          if (timeMs >= fromMs) yield timeMs;
        }
      }
    }
  }
}

/**
 * Milliseconds since 1970 of a time.
 * @throws FettleError `invalid-time`
 */
export function timeMs(time: Time): number {
  const ms = typeof time === 'number' ? time : time instanceof Date ? time.getTime() : parseTime(time);
  if (Number.isFinite(ms) && ms >= MIN_TIME_MS && ms <= MAX_TIME_MS) return ms;
  throw new FettleError({
    code: 'invalid-time',
    message: `"${String(time).slice(0, 60)}" is no time between 1900 and 2300`,
    remedy: 'Write it as 2026-03-29T01:30:00Z, with an offset such as +02:00, or without one for UTC.',
  });
}

const ISO = /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?$/i;

function parseTime(text: string): number {
  const match = ISO.exec(text.trim());
  if (!match) return Number.NaN;
  const iso = text.trim().replace(' ', 'T').toUpperCase();
  return Date.parse(match[1] === undefined && iso.includes('T') ? `${iso}Z` : iso);
}

/** UTC without milliseconds: instants of schedules are whole seconds. */
export function utcText(atMs: number): string {
  return `${new Date(atMs).toISOString().slice(0, 19)}Z`;
}

function written({ atMs, offsetMs, note }: RawInstant): Instant {
  return {
    at: utcText(atMs),
    local: `${new Date(atMs + offsetMs).toISOString().slice(0, 19)}${offsetText(offsetMs)}`,
    note,
  };
}

function tooMany(): FettleError {
  return new FettleError({
    code: 'limit-exceeded',
    message: `more than ${MAX_INSTANTS} instants were asked for`,
    remedy: 'Ask for a shorter range or a smaller count.',
  });
}
