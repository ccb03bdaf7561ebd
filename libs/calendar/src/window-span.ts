import { durationMs, FettleError, type Freeze, type Holiday, type MaintenanceWindow } from '@fettle/contracts';
import { RECURRING_LOOK_COST } from './calendar-gate.js';
import { DAY_MS } from './days.js';
import { iterateInstants, previousRawInstant } from './instants.js';
import type { Recurrence } from './recurrence.js';
import { scheduleRecurrence } from './schedule-recurrence.js';
import { localOrAbsolute, MAX_TIME_MS } from './time.js';
import type { RawInstant } from './wall-clock.js';
import { assertTimeZone, zoneOf } from './zone.js';

/** A stretch of time, end exclusive, in milliseconds since 1970. */
export interface Stretch {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Stretches of time that come again, or one. */
export interface Span {
  readonly name: string;
  /** Of one look. */
  readonly cost: number;
  /** What is left of the stretch that holds a moment: the one that ends last; null: the moment is in none. */
  at(atMs: number): Stretch | null;
  /** The first one that begins after a moment; null: none does. */
  after(atMs: number): Stretch | null;
}

/**
 * A window or a freeze as its calendar says, by the clock of a zone; `cutoff` takes away from the end of each.
 * @throws FettleError `invalid-schedule`, `invalid-time-zone`, `invalid-time`
 */
export function spanOf(span: MaintenanceWindow | Freeze, zoneOfCalendar: string): Span {
  const timeZone = span.timeZone ?? zoneOfCalendar;
  const cutoffMs = 'cutoff' in span && span.cutoff !== undefined ? durationMs(span.cutoff) : 0;
  const name = span.name ?? '';
  if (span.from !== undefined && span.to !== undefined) {
    const fromMs = momentOf(span.from, timeZone, 0);
    const toMs = momentOf(span.to, timeZone, DAY_MS);
    if (toMs <= fromMs) throw invalidSpan(`it ends before it begins: ${span.from} to ${span.to}`);
    if (cutoffMs >= toMs - fromMs) throw invalidSpan('the cutoff is as long as the window');
    return onceSpan(name, { fromMs, toMs: toMs - cutoffMs });
  }
  const { cron, every, phase, rrule, at, dst, start, end, exclude, duration, days = 1 } = span;
  const timing = { cron, every, phase, rrule, at, dst, start, end, exclude, jitter: undefined, timeZone };
  const lengthMs = duration === undefined ? days * DAY_MS : durationMs(duration);
  if (cutoffMs >= lengthMs) throw invalidSpan('the cutoff is as long as the window');
  const endOf =
    duration === undefined
      ? ({ nominalMs }: RawInstant) => endOfDays(nominalMs, days, timeZone)
      : ({ atMs }: RawInstant) => atMs + lengthMs;
  return recurringSpan(name, scheduleRecurrence(timing, ''), lengthMs, (begin) => endOf(begin) - cutoffMs);
}

/** A holiday: whole local days, from when the rule says (midnight, unless it names an hour). @throws FettleError as `spanOf` */
export function holidaySpan({ name = '', date, rrule, days = 1 }: Holiday, timeZone: string): Span {
  assertTimeZone(timeZone);
  if (date !== undefined) {
    const { ms, isDate } = localOrAbsolute(date);
    if (!isDate) throw invalidSpan(`"${date}" is no date; write 2026-12-25`);
    return onceSpan(name, { fromMs: zoneOf(timeZone).instantOf(ms), toMs: endOfDays(ms, days, timeZone) });
  }
  const none = { cron: undefined, every: undefined, phase: undefined, at: undefined, dst: undefined };
  const rest = { start: undefined, end: undefined, exclude: undefined, jitter: undefined };
  const recurrence = scheduleRecurrence({ ...none, ...rest, rrule, timeZone }, '');
  return recurringSpan(name, recurrence, days * DAY_MS, ({ nominalMs }) => endOfDays(nominalMs, days, timeZone));
}

function onceSpan(name: string, stretch: Stretch): Span {
  return {
    name,
    cost: 1,
    at: (atMs) => (stretch.fromMs <= atMs && atMs < stretch.toMs ? stretch : null),
    after: (atMs) => (stretch.fromMs > atMs ? stretch : null),
  };
}

/** Begins that one look passes over because the cutoff leaves nothing of them. */
const MAX_EATEN = 1000;

/** All have one length, so that of those that hold a moment the last to begin is the last to end. */
function recurringSpan(
  name: string,
  recurrence: Recurrence,
  lengthMs: number,
  endOf: (begin: RawInstant) => number,
): Span {
  const stretch = (begin: RawInstant): Stretch => ({ fromMs: begin.atMs, toMs: endOf(begin) });
  return {
    name,
    cost: RECURRING_LOOK_COST,
    at: (atMs) => {
      // To look for the last begin of a rare one goes back for decades; a day more, as changes of clocks make days longer.
      if (!hasInstant(recurrence, atMs - lengthMs - DAY_MS, atMs + 1)) return null;
      const last = previousRawInstant(recurrence, atMs + 1);
      const found = last === null ? null : stretch(last);
      return found !== null && atMs < found.toMs ? found : null;
    },
    after: (atMs) => {
      let eaten = 0;
      for (const next of iterateInstants(recurrence, atMs + 1, MAX_TIME_MS)) {
        const found = stretch(next);
        if (found.toMs > found.fromMs) return found;
        // The cutoff leaves nothing of it, on a day that a change of clocks made shorter.
        eaten += 1;
        if (eaten >= MAX_EATEN) return null;
      }
      return null;
    },
  };
}

function hasInstant(recurrence: Recurrence, fromMs: number, toMs: number): boolean {
  for (const _ of iterateInstants(recurrence, fromMs, toMs)) return true;
  return false;
}

/** Midnight so many days after the local time at which they begin. */
function endOfDays(localMs: number, days: number, timeZone: string): number {
  return zoneOf(timeZone).instantOf(localMs + days * DAY_MS);
}

/** `dayMs`: what a date without a time has more. */
function momentOf(text: string, timeZone: string, dayMs: number): number {
  assertTimeZone(timeZone);
  const { ms, hasOffset, isDate } = localOrAbsolute(text);
  if (hasOffset) return ms;
  return zoneOf(timeZone).instantOf(isDate ? ms + dayMs : ms);
}

function invalidSpan(message: string): FettleError {
  return new FettleError({
    code: 'invalid-schedule',
    message,
    remedy: 'See "Calendars" in the reference for what a window, a freeze and a holiday take.',
  });
}
