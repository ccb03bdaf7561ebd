import { DAY_MS, MAX_SEARCH_YEARS } from './days.js';
import type { LocalTimes } from './local-times.js';
import type { GapPolicy, OverlapPolicy } from './recurrence.js';
import { MIN_TIME_MS } from './time.js';
import type { Transition, Zone } from './zone.js';

const HOUR_MS = 3_600_000;

export type InstantNote = '' | 'gap-shifted' | 'overlap-first' | 'overlap-last';
/** Why a local time has no instant: jumped over, moved onto another instant, the other one of two, left out by an exclusion. */
export type SkipNote = 'gap-skipped' | 'gap-merged' | 'overlap-skipped' | 'excluded';

/** An instant before it is written out. */
export interface RawInstant {
  readonly atMs: number;
  /** What the zone's clock is ahead of UTC at that instant. */
  readonly offsetMs: number;
  readonly note: InstantNote;
  /** The local time that the schedule names (as if it were UTC): another than the clock's where it was shifted. */
  readonly nominalMs: number;
  /** Present only where skipped ones are asked for. */
  readonly skipped?: SkipNote;
}

/** Local times as instants of a zone. */
export interface WallClock {
  readonly times: LocalTimes;
  readonly zone: Zone;
  readonly gap: GapPolicy;
  readonly overlap: OverlapPolicy;
  readonly withSkipped: boolean;
}

/** The last instant before a time, or null where none lies within the search limit. */
export function previousOnWallClock(clock: WallClock, beforeMs: number): RawInstant | null {
  let day = Math.floor((beforeMs - 1) / DAY_MS);
  const oldest = Math.max(day - (MAX_SEARCH_YEARS + 1) * 366, Math.floor(MIN_TIME_MS / DAY_MS));
  while (day >= oldest) {
    const candidate = clock.times.previousDay(day + 1);
    if (candidate === null) return null;
    day = Math.min(day, candidate + 1);
    // What is due often is found in the hour before; only else is the whole day computed.
    const nearMs = beforeMs - HOUR_MS;
    const near = nearMs > day * DAY_MS && nearMs < (day + 1) * DAY_MS ? lastOfDay(clock, day, nearMs, beforeMs) : null;
    const last = near ?? lastOfDay(clock, day, -Infinity, beforeMs);
    if (last) return last;
    day -= 1;
  }
  return null;
}

/** The last instant of a UTC day in [fromMs, beforeMs), or null. */
function lastOfDay(clock: WallClock, day: number, fromMs: number, beforeMs: number): RawInstant | null {
  let last: RawInstant | null = null;
  for (const instant of instantsOfUtcDay(clock, day, fromMs)) {
    if (instant.atMs >= beforeMs) break;
    if (instant.atMs >= fromMs) last = instant;
  }
  return last;
}

/** Instants in [fromMs, toMs), computed as they are asked for. Ends also where none comes within the search limit. */
export function* iterateWallClock(clock: WallClock, fromMs: number, toMs: number): Generator<RawInstant> {
  let day = Math.floor(fromMs / DAY_MS);
  while (day * DAY_MS < toMs) {
    // Local days begin at most 16 hours from the UTC day of the same number, so a UTC day sees its own and its neighbours.
    const candidate = clock.times.nextDay(day - 1);
    if (candidate === null) return;
    day = Math.max(day, candidate - 1);
    for (const instant of instantsOfUtcDay(clock, day, fromMs)) {
      if (instant.atMs >= toMs) return;
      if (instant.atMs >= fromMs) yield instant;
    }
    day += 1;
  }
}

/** Instants of a UTC day, ascending; where clocks do not change nearby, those before `fromMs` are not even computed. */
function* instantsOfUtcDay(clock: WallClock, day: number, fromMs = -Infinity): Generator<RawInstant> {
  const { zone } = clock;
  // A gap or overlap is at most a day long, so it reaches from the day before or from the day after into this one.
  let near: Transition[] | null = null;
  for (let other = day - 2; other <= day + 1; other += 1) {
    const found = zone.transitionsOfDay(other);
    if (found.length > 0) (near ??= []).push(...found);
  }
  if (near) {
    yield* aroundTransitions(clock, day, near);
    return;
  }
  const offsetMs = zone.offsetAtDayStart(day);
  const startMs = Math.max(day * DAY_MS, fromMs);
  for (const localMs of clock.times.times(startMs + offsetMs, (day + 1) * DAY_MS + offsetMs)) {
    yield { atMs: localMs - offsetMs, offsetMs, note: '', nominalMs: localMs };
  }
}

function aroundTransitions(clock: WallClock, day: number, near: readonly Transition[]): RawInstant[] {
  const { times, zone } = clock;
  const overlap = times.followsElapsedTime ? 'both' : clock.overlap;
  const startMs = day * DAY_MS;
  const endMs = startMs + DAY_MS;
  const found = new Map<number, RawInstant>();
  const skipped: RawInstant[] = [];
  let fromMs = startMs;
  let offsetMs = zone.offsetAtDayStart(day);
  for (const transition of [
    ...near.filter(({ atMs }) => atMs > startMs && atMs < endMs),
    { atMs: endMs, afterMs: 0 },
  ]) {
    for (const localMs of times.times(fromMs + offsetMs, transition.atMs + offsetMs)) {
      const atMs = localMs - offsetMs;
      const note = overlapNote(atMs, near);
      const instant: RawInstant = { atMs, offsetMs, note, nominalMs: localMs };
      if (note === '' || overlap === 'both' || note === `overlap-${overlap}`) found.set(atMs, instant);
      else skipped.push({ ...instant, skipped: 'overlap-skipped' });
    }
    fromMs = transition.atMs;
    offsetMs = transition.afterMs;
  }
  if (!times.followsElapsedTime) skipped.push(...throughGaps(clock, [startMs, endMs], near, found));
  const all = clock.withSkipped ? [...found.values(), ...skipped] : [...found.values()];
  return all.sort((a, b) => a.atMs - b.atMs);
}

/** Adds to `found` what the policy shifts out of gaps, and returns what it does not add. */
function throughGaps(
  clock: WallClock,
  [startMs, endMs]: readonly [number, number],
  near: readonly Transition[],
  found: Map<number, RawInstant>,
): RawInstant[] {
  const skipped: RawInstant[] = [];
  for (const { atMs, beforeMs, afterMs } of near) {
    if (afterMs <= beforeMs) continue;
    for (const localMs of clock.times.times(atMs + beforeMs, atMs + afterMs)) {
      const shiftedMs = localMs - beforeMs;
      if (shiftedMs < startMs || shiftedMs >= endMs) continue;
      const instant: RawInstant = { atMs: shiftedMs, offsetMs: afterMs, note: 'gap-shifted', nominalMs: localMs };
      if (clock.gap === 'skip') skipped.push({ ...instant, skipped: 'gap-skipped' });
      // Two instants that meet are one: the one that needed no shift.
      else if (found.has(shiftedMs)) skipped.push({ ...instant, skipped: 'gap-merged' });
      else found.set(shiftedMs, instant);
    }
  }
  return skipped;
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
