import { afterText, durationMs, FettleError, type ScheduleSpec } from '@fettle/contracts';
import { businessDaysOf, monthlyOf, monthlyText, rollOf } from './schedule-business-days.js';
import { parseCron } from './cron.js';
import { DAY_MS } from './days.js';
import { excludedDay } from './exclusions.js';
import type { Exclusion, Recurrence } from './recurrence.js';
import { parseRule } from './rule-parse.js';
import { localOrAbsolute, type ParsedTime } from './time.js';
import { invalidTiming } from './invalid-timing.js';
import { assertTimeZone, isTimeZone, zoneOf } from './zone.js';

/** The part of a schedule's document that says when it is due. */
export type ScheduleTiming = Pick<
  ScheduleSpec,
  | 'cron'
  | 'every'
  | 'phase'
  | 'rrule'
  | 'at'
  | 'monthly'
  | 'after'
  | 'dst'
  | 'start'
  | 'end'
  | 'exclude'
  | 'businessDays'
  | 'roll'
  | 'jitter'
> & { readonly timeZone: string };

/** Beyond this it would rather be another schedule. */
const MAX_JITTER_MS = DAY_MS;

/** One piece of a timing that can be wrong by itself, with where it stands in `spec`. */
export interface TimingCheck {
  readonly path: readonly (string | number)[];
  readonly source: string;
  readonly check: () => unknown;
}

/**
 * When a schedule is due, as its document says. `seed` decides its jitter: `space/name`, so that a preview shows what will be.
 * @throws FettleError `invalid-schedule`, `invalid-time-zone`, `invalid-time`
 */
export function scheduleRecurrence(timing: ScheduleTiming, seed: string): Recurrence {
  const { timeZone, dst, jitter, exclude } = timing;
  assertTimeZone(timeZone);
  const base = {
    timeZone,
    gap: dst?.gap ?? 'shift',
    overlap: dst?.overlap ?? 'first',
    ...(timing.start === undefined ? {} : { start: momentOf(timing.start, timeZone, 'start') }),
    ...(timing.end === undefined ? {} : { end: momentOf(timing.end, timeZone, 'end') }),
    ...(exclude === undefined ? {} : { exclude: exclude.map((one) => exclusionOf(one, timing)) }),
    ...(jitter === undefined ? {} : { jitter: { maxMs: jitterMsOf(jitter), seed } }),
    ...rollOf(timing),
  };
  if (timing.cron !== undefined) return { ...base, cron: parseCron(timing.cron) };
  if (timing.every !== undefined) return { ...base, interval: intervalOf(timing.every, timing.phase) };
  if (timing.rrule !== undefined) return { ...base, rule: ruleOf(timing.rrule, timing) };
  if (timing.at !== undefined) return { ...base, once: onceOf(timing.at) };
  if (timing.monthly !== undefined) return { ...base, monthly: monthlyOf(timing.monthly, timing.businessDays) };
  if (timing.after !== undefined) return { ...base, once: { never: true } };
  throw invalidTiming('a schedule has one of cron, every, rrule, at, monthly, or after; none is given');
}

/** Everything in a timing that can be wrong, piece by piece, so that one mistake hides no other. */
export function timingChecks(timing: ScheduleTiming): TimingCheck[] {
  const { timeZone } = timing;
  const checks: (TimingCheck | null)[] = [
    { path: ['timeZone'], source: timeZone, check: () => assertTimeZone(timeZone) },
    pieceOf('cron', timing.cron, parseCron),
    pieceOf('every', timing.every, (every) => intervalOf(every, timing.phase)),
    pieceOf('rrule', timing.rrule, (text) => ruleOf(text, timing)),
    pieceOf('at', timing.at, onceOf),
    pieceOf('start', timing.start, (text) => momentOf(text, timeZone, 'start')),
    pieceOf('end', timing.end, (text) => checkEnd(text, timing)),
    pieceOf('jitter', timing.jitter, jitterMsOf),
    check('businessDays', timing.businessDays, businessDaysOf),
    check('monthly', timing.monthly, (monthly) => monthlyOf(monthly, timing.businessDays)),
    pieceOf('roll', timing.roll, () => rollOf(timing)),
    ...(timing.exclude ?? []).map((one, index) => {
      const [key, source] = (Object.entries(one) as [string, string | true][])[0] ?? ['date', ''];
      return { path: ['exclude', index, key], source: String(source), check: () => exclusionOf(one, timing) };
    }),
  ];
  const present = checks.filter((check) => check !== null);
  // Times are read by the zone's clock; a wrong zone is told once.
  return isTimeZone(timeZone) ? present : present.filter(({ path }) => path[0] === 'timeZone' || path[0] === 'cron');
}

function check<T>(field: string, value: T | undefined, of: (value: T) => unknown): TimingCheck | null {
  return value === undefined ? null : { path: [field], source: JSON.stringify(value), check: () => of(value) };
}

function pieceOf<T extends string | number>(
  field: string,
  value: T | undefined,
  check: (value: T) => unknown,
): TimingCheck | null {
  return value === undefined ? null : { path: [field], source: String(value), check: () => check(value) };
}

type Duration = NonNullable<ScheduleTiming['every']>;

function intervalOf(every: Duration, phase: Duration | undefined): { everyMs: number; phaseMs: number } {
  const everyMs = durationMs(every);
  const phaseMs = phase === undefined ? 0 : durationMs(phase);
  if (everyMs < 1000 || everyMs % 1000 !== 0 || phaseMs % 1000 !== 0)
    throw invalidTiming('an interval and its phase are whole seconds, one at least');
  if (phaseMs >= everyMs && phaseMs !== 0) throw invalidTiming('the phase is shorter than the interval');
  return { everyMs, phaseMs };
}

function jitterMsOf(jitter: Duration): number {
  const maxMs = durationMs(jitter);
  if (maxMs > MAX_JITTER_MS) throw invalidTiming('jitter is at most 24 hours');
  return maxMs;
}

function onceOf(at: string): { localMs: number } | { atMs: number } {
  const parsed = timeOf(at);
  if (parsed.ms % 1000 !== 0) throw invalidTiming('an instant is a whole second');
  return parsed.hasOffset ? { atMs: parsed.ms } : { localMs: parsed.ms };
}

/** `start` as its first moment; `end`, which is inclusive, as the first moment after it. Without an offset, the zone's clock is read. */
function momentOf(text: string, timeZone: string, side: 'start' | 'end'): number {
  const { ms, hasOffset, isDate } = timeOf(text);
  if (hasOffset) return side === 'start' ? ms : ms + 1;
  const zone = zoneOf(timeZone);
  if (side === 'start') return zone.instantOf(ms);
  return isDate ? zone.instantOf(ms + DAY_MS) : zone.instantOf(ms) + 1;
}

function checkEnd(text: string, { timeZone, start }: ScheduleTiming): void {
  const end = momentOf(text, timeZone, 'end');
  if (start !== undefined && end <= momentOf(start, timeZone, 'start')) throw invalidTiming('it ends before it starts');
}

/** A rule without DTSTART counts from the schedule's start, where it has one. */
function ruleOf(text: string, { timeZone, start }: ScheduleTiming) {
  if (start === undefined) return parseRule(text, timeZone);
  const startMs = momentOf(start, timeZone, 'start');
  return parseRule(text, timeZone, startMs + zoneOf(timeZone).offsetAt(startMs));
}

function exclusionOf(one: NonNullable<ScheduleTiming['exclude']>[number], timing: ScheduleTiming): Exclusion {
  if ('cron' in one) return { cron: parseCron(one.cron) };
  if ('rrule' in one) return { rule: ruleOf(one.rrule, timing) };
  if ('nonBusinessDays' in one) return { notOn: businessDaysOf(timing.businessDays) };
  excludedDay(one.date);
  return { date: one.date };
}

function timeOf(text: string): ParsedTime {
  try {
    return localOrAbsolute(text);
  } catch (error) {
    if (!(error instanceof FettleError)) throw error;
    throw invalidTiming(
      `${error.message}; write 2026-12-24, 2026-12-24T02:30 (by the zone's clock) or 2026-12-24T01:30:00Z`,
    );
  }
}

/** What a person reads of a timing in one line. */
export function timingText(timing: ScheduleTiming): string {
  const { after } = timing;
  const isDue = [timing.cron, timing.every, timing.rrule, timing.at, timing.monthly].some((one) => one !== undefined);
  const own = isDue ? recurrenceText(timing) : '';
  if (after === undefined) return own;
  return own === '' ? afterText(after) : `${own}, and ${afterText(after)}`;
}

function recurrenceText({ cron, every, phase, rrule, at, monthly }: ScheduleTiming): string {
  if (cron !== undefined) return cron;
  const text = (duration: Duration): string => (typeof duration === 'number' ? `${duration}s` : duration);
  if (every !== undefined) return `every ${text(every)}${phase === undefined ? '' : ` plus ${text(phase)}`}`;
  if (monthly !== undefined) return monthlyText(monthly);
  return rrule === undefined ? `once at ${at ?? ''}` : rrule.trim().replace(/\s*[\r\n]+\s*/g, ' ');
}

/**
 * The expression by which Temporal may wake the schedule: it reads neither `L`, `W` nor `#` of cron, and no other kind. Null: nobody
 * wakes it but the reconciler.
 */
export function wakingCron({ cron, jitter, roll }: ScheduleTiming): string | null {
  if (cron === undefined || jitter !== undefined || roll !== undefined) return null;
  const { lastDays, nearestWeekdays, lastWeekdays, nthDaysOfWeek } = parseCron(cron);
  const isPlain = [lastDays, nearestWeekdays, lastWeekdays, nthDaysOfWeek].every((special) => special === undefined);
  return isPlain ? cron : null;
}
