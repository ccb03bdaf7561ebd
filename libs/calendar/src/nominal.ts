import { MonthlyTimes, RolledTimes } from './business-days.js';
import { DAY_MS } from './days.js';
import { exclusionOf, type IsExcluded } from './exclusions.js';
import { CronTimes, ListedTimes, type LocalTimes } from './local-times.js';
import type { IntervalRecurrence, Recurrence } from './recurrence.js';
import { ruleTimes } from './rule-times.js';
import { MAX_TIME_MS, MIN_TIME_MS, timeMs } from './time.js';
import { iterateWallClock, previousOnWallClock, type RawInstant, type WallClock } from './wall-clock.js';
import { zoneOf, type Zone } from './zone.js';

/** Most instants in a row that may be excluded: what comes after that many is not found. */
const MAX_EXCLUDED_IN_A_ROW = 300_000;

/** A recurrence without its jitter: within its bounds, exclusions taken out. */
export interface NominalInstants {
  /** Instants in [fromMs, toMs), ascending. */
  iterate(fromMs: number, toMs: number): Generator<RawInstant>;
  /** The last instant before a time. */
  previous(beforeMs: number): RawInstant | null;
}

/** Instants by themselves, before bounds and exclusions. */
type Unbounded = NominalInstants;

export function nominalInstants(recurrence: Recurrence, withSkipped = false): NominalInstants {
  const zone = zoneOf(recurrence.timeZone);
  const all = unbounded(recurrence, zone, withSkipped);
  const isExcluded = exclusionOf(recurrence.exclude);
  const until = 'rule' in recurrence ? recurrence.rule.untilAtMs : null;
  const firstMs = Math.max(MIN_TIME_MS, recurrence.start === undefined ? MIN_TIME_MS : timeMs(recurrence.start));
  const endMs = Math.min(
    MAX_TIME_MS,
    recurrence.end === undefined ? MAX_TIME_MS : timeMs(recurrence.end),
    until === null ? MAX_TIME_MS : until + 1,
  );
  return {
    iterate: (fromMs, toMs) =>
      withoutExcluded(all.iterate(Math.max(fromMs, firstMs), Math.min(toMs, endMs)), isExcluded, withSkipped),
    previous: (beforeMs) => previousAllowed(all, isExcluded, firstMs, Math.min(beforeMs, endMs)),
  };
}

/** Goes back day by day, so that a day's instants are computed once however many of them are excluded. */
function previousAllowed(all: Unbounded, isExcluded: IsExcluded, firstMs: number, beforeMs: number): RawInstant | null {
  let [before, excluded] = [beforeMs, 0];
  while (excluded < MAX_EXCLUDED_IN_A_ROW) {
    const candidate = all.previous(before);
    if (!candidate || candidate.atMs < firstMs) return null;
    if (!isExcluded(candidate.nominalMs)) return candidate;
    const dayMs = Math.max(firstMs, Math.floor(candidate.atMs / DAY_MS) * DAY_MS);
    let last: RawInstant | null = null;
    for (const instant of all.iterate(dayMs, candidate.atMs)) {
      if (isExcluded(instant.nominalMs)) excluded += 1;
      else last = instant;
    }
    if (last) return last;
    excluded += 1;
    before = dayMs;
  }
  return null;
}

function* withoutExcluded(
  instants: Iterable<RawInstant>,
  isExcluded: IsExcluded,
  withSkipped: boolean,
): Generator<RawInstant> {
  let excluded = 0;
  for (const instant of instants) {
    if (!isExcluded(instant.nominalMs)) {
      if (instant.skipped === undefined) excluded = 0;
      yield instant;
      continue;
    }
    excluded += 1;
    if (excluded > MAX_EXCLUDED_IN_A_ROW) return;
    if (withSkipped) yield { ...instant, skipped: instant.skipped ?? 'excluded' };
  }
}

function unbounded(recurrence: Recurrence, zone: Zone, withSkipped: boolean): Unbounded {
  if ('interval' in recurrence) return everyInstants(recurrence.interval, zone);
  if ('once' in recurrence && 'atMs' in recurrence.once) return onlyInstant(recurrence.once.atMs, zone);
  const { roll } = recurrence;
  const named = localTimesOf(recurrence);
  const times = roll === undefined ? named : new RolledTimes(named, roll.days, roll.to);
  const { gap = 'shift', overlap = 'first' } = recurrence;
  const clock: WallClock = { times, zone, gap, overlap, withSkipped };
  return {
    iterate: (fromMs, toMs) => iterateWallClock(clock, fromMs, toMs),
    previous: (beforeMs) => previousOnWallClock({ ...clock, withSkipped: false }, beforeMs),
  };
}

function localTimesOf(recurrence: Exclude<Recurrence, IntervalRecurrence>): LocalTimes {
  if ('cron' in recurrence) return new CronTimes(recurrence.cron);
  if ('rule' in recurrence) return ruleTimes(recurrence.rule);
  if ('monthly' in recurrence) return new MonthlyTimes(recurrence.monthly);
  return new ListedTimes('localMs' in recurrence.once ? [recurrence.once.localMs] : []);
}

function everyInstants(
  { everyMs, phaseMs }: { readonly everyMs: number; readonly phaseMs: number },
  zone: Zone,
): Unbounded {
  if (!(everyMs >= 1000 && everyMs <= 366 * DAY_MS)) throw new RangeError(`an interval of ${everyMs} ms`);
  const indexFrom = (atMs: number): number => Math.ceil((atMs - phaseMs) / everyMs);
  const instant = (index: number): RawInstant => elapsed(index * everyMs + phaseMs, zone);
  return {
    *iterate(fromMs, toMs) {
      for (let index = indexFrom(fromMs); index * everyMs + phaseMs < toMs; index += 1) yield instant(index);
    },
    previous: (beforeMs) => instant(indexFrom(beforeMs) - 1),
  };
}

function onlyInstant(atMs: number, zone: Zone): Unbounded {
  return {
    *iterate(fromMs, toMs) {
      if (atMs >= fromMs && atMs < toMs) yield elapsed(atMs, zone);
    },
    previous: (beforeMs) => (atMs < beforeMs ? elapsed(atMs, zone) : null),
  };
}

/** An instant that no wall clock decides. */
function elapsed(atMs: number, zone: Zone): RawInstant {
  const offsetMs = zone.offsetAt(atMs);
  return { atMs, offsetMs, note: '', nominalMs: atMs + offsetMs };
}
