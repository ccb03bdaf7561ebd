import { DAY_MS } from './days.js';
import { ListedTimes, type LocalTimes } from './local-times.js';
import { letsDayIn, periodOf, periodStart } from './rule-days.js';
import type { RuleSchedule } from './rule.js';

/** Most times of a day, periods or days that one search looks at; what comes later than that is not found. */
const MAX_STEPS = 3_000_000;
/** Nothing is computed beyond the year 2300, nor before 1900. */
const LAST_DAY = Date.UTC(2300, 0, 3) / DAY_MS;
/** Most occurrences that COUNT may ask for: they are counted from the first one. */
export const MAX_RULE_COUNT = 10_000;

const unitSeconds: Readonly<Record<string, number>> = { HOURLY: 3600, MINUTELY: 60, SECONDLY: 1 };

const known = new WeakMap<RuleSchedule, LocalTimes>();

/** The times of a rule. Only remembers what was worked out: the same rule has the same times. */
export function ruleTimes(rule: RuleSchedule): LocalTimes {
  let times = known.get(rule);
  if (!times) {
    const all: LocalTimes = unitSeconds[rule.frequency] === undefined ? new DayRule(rule) : new ClockRule(rule);
    times = withExceptions(
      rule,
      rule.count === null ? all : new ListedTimes(firstTimes(all, rule.count), rule.followsElapsedTime),
    );
    known.set(rule, times);
  }
  return times;
}

function firstTimes(times: LocalTimes, count: number): number[] {
  const found: number[] = [];
  for (let day = times.nextDay(-LAST_DAY); day !== null; day = times.nextDay(day + 1)) {
    for (const timeMs of times.times(day * DAY_MS, (day + 1) * DAY_MS)) {
      if (found.length >= count) return found;
      found.push(timeMs);
    }
    if (found.length >= count) return found;
  }
  return found;
}

/** RDATE adds, EXDATE takes away. */
function withExceptions(rule: RuleSchedule, inner: LocalTimes): LocalTimes {
  if (rule.extraTimesMs.length + rule.exceptTimesMs.length + rule.exceptDays.length === 0) return inner;
  const extra = new ListedTimes(rule.extraTimesMs);
  const [exceptTimes, exceptDays] = [new Set(rule.exceptTimesMs), new Set(rule.exceptDays)];
  const chosen = (days: readonly (number | null)[], choose: (...values: number[]) => number): number | null => {
    const present = days.filter((day) => day !== null);
    return present.length === 0 ? null : choose(...present);
  };
  return {
    followsElapsedTime: rule.followsElapsedTime,
    nextDay: (day) => chosen([inner.nextDay(day), extra.nextDay(day)], Math.min),
    previousDay: (day) => chosen([inner.previousDay(day), extra.previousDay(day)], Math.max),
    times: function* (fromMs, toMs) {
      for (const timeMs of merged(inner.times(fromMs, toMs), [...extra.times(fromMs, toMs)])) {
        if (!exceptTimes.has(timeMs) && !exceptDays.has(Math.floor(timeMs / DAY_MS))) yield timeMs;
      }
    },
  };
}

function* merged(times: Iterable<number>, extra: readonly number[]): Generator<number> {
  let index = 0;
  for (const timeMs of times) {
    for (; (extra[index] ?? Infinity) < timeMs; index += 1) yield extra[index] ?? 0;
    if (extra[index] === timeMs) index += 1;
    yield timeMs;
  }
  yield* extra.slice(index);
}

/** What both kinds of rules share: times of a day are asked for a day at a time. */
abstract class RuleTimes implements LocalTimes {
  readonly followsElapsedTime: boolean;
  protected readonly rule: RuleSchedule;
  protected readonly startDay: number;

  constructor(rule: RuleSchedule) {
    this.rule = rule;
    this.followsElapsedTime = rule.followsElapsedTime;
    this.startDay = Math.floor(rule.startMs / DAY_MS);
  }

  abstract nextDay(day: number): number | null;
  abstract previousDay(day: number): number | null;
  /** Milliseconds since the day's begin, ascending. */
  protected abstract timesOfDay(day: number): Iterable<number>;

  *times(fromMs: number, toMs: number): Generator<number> {
    const { startMs, untilMs } = this.rule;
    for (
      let day = this.nextDay(Math.floor(fromMs / DAY_MS));
      day !== null && day * DAY_MS < toMs;
      day = this.nextDay(day + 1)
    ) {
      for (const time of this.timesOfDay(day)) {
        const timeMs = day * DAY_MS + time;
        if (timeMs >= toMs || (untilMs !== null && timeMs > untilMs)) return;
        if (timeMs >= fromMs && timeMs >= startMs) yield timeMs;
      }
    }
  }

  /** Days after this one hold nothing. */
  protected lastDay(): number {
    const { untilMs, untilAtMs } = this.rule;
    // A zone is at most a day away from UTC.
    const until = Math.min(untilMs ?? Infinity, untilAtMs === null ? Infinity : untilAtMs + DAY_MS);
    return Math.min(LAST_DAY, Math.floor(until / DAY_MS));
  }
}

/** Days (ascending) with the times of each, of one period. */
type PeriodTimes = ReadonlyMap<number, readonly number[]>;

/** YEARLY to DAILY: days are found by period, and all have the same times unless BYSETPOS picks some. */
class DayRule extends RuleTimes {
  readonly #timesOfDay: readonly number[];
  readonly #base: number;
  #period = Number.NaN;
  #found: PeriodTimes = new Map();

  constructor(rule: RuleSchedule) {
    super(rule);
    this.#timesOfDay = timesOfDay(rule);
    this.#base = this.#periodOf(this.startDay);
  }

  nextDay(day: number): number | null {
    const from = Math.max(day, this.startDay);
    const { interval } = this.rule;
    let period = this.#base + Math.ceil((this.#periodOf(from) - this.#base) / interval) * interval;
    for (let step = 0; step < MAX_STEPS && this.#startOf(period) <= this.lastDay(); step += 1) {
      for (const found of this.#daysOf(period).keys()) if (found >= from) return found;
      period += interval;
    }
    return null;
  }

  previousDay(day: number): number | null {
    const to = Math.min(day, this.lastDay());
    const { interval } = this.rule;
    let period = this.#base + Math.floor((this.#periodOf(to) - this.#base) / interval) * interval;
    for (let step = 0; step < MAX_STEPS && period >= this.#base; step += 1) {
      for (const found of [...this.#daysOf(period).keys()].reverse()) if (found <= to) return found;
      period -= interval;
    }
    return null;
  }

  protected timesOfDay(day: number): readonly number[] {
    return this.#daysOf(this.#periodOf(day)).get(day) ?? [];
  }

  #periodOf(day: number): number {
    return periodOf(this.rule.frequency, this.rule.weekStart, day);
  }

  #startOf(period: number): number {
    return periodStart(this.rule.frequency, this.rule.weekStart, period);
  }

  #daysOf(period: number): PeriodTimes {
    if (period === this.#period) return this.#found;
    const days: number[] = [];
    const end = this.#startOf(period + 1);
    for (let day = this.#startOf(period); day < end; day += 1) if (letsDayIn(this.rule, day)) days.push(day);
    this.#period = period;
    this.#found = this.#picked(days);
    return this.#found;
  }

  /** BYSETPOS counts through days and times together, without listing them all. */
  #picked(days: readonly number[]): PeriodTimes {
    const { positions } = this.rule;
    const times = this.#timesOfDay;
    if (!positions) return new Map(days.map((day) => [day, times]));
    const found = new Map<number, number[]>();
    for (const index of indexesOf(positions, days.length * times.length)) {
      const [day, time] = [days[Math.floor(index / times.length)], times[index % times.length]];
      if (day === undefined || time === undefined) continue;
      const list = found.get(day);
      if (list) list.push(time);
      else found.set(day, [time]);
    }
    return found;
  }
}

/** Indexes from 0, ascending, of the positions in a set of `length`; those outside of it are left out. */
function indexesOf(positions: readonly number[], length: number): number[] {
  const indexes = positions.map((position) => (position > 0 ? position - 1 : length + position));
  return [...new Set(indexes.filter((index) => index >= 0 && index < length))].sort((a, b) => a - b);
}

/** Milliseconds in the day that BYHOUR, BYMINUTE and BYSECOND name. */
function timesOfDay({ hours, minutes, seconds }: RuleSchedule): number[] {
  return (hours ?? []).flatMap((hour) =>
    (minutes ?? []).flatMap((minute) => (seconds ?? []).map((second) => ((hour * 60 + minute) * 60 + second) * 1000)),
  );
}

/** HOURLY, MINUTELY, SECONDLY: units of the wall clock are counted from the start. */
class ClockRule extends RuleTimes {
  #day = Number.NaN;
  #found: readonly number[] = [];

  nextDay(day: number): number | null {
    let steps = 0;
    for (
      let candidate = Math.max(day, this.startDay);
      candidate <= this.lastDay() && steps < MAX_STEPS;
      candidate += 1
    ) {
      steps += this.#costOf(candidate);
      if (this.timesOfDay(candidate).length > 0) return candidate;
    }
    return null;
  }

  previousDay(day: number): number | null {
    let steps = 0;
    for (
      let candidate = Math.min(day, this.lastDay());
      candidate >= this.startDay && steps < MAX_STEPS;
      candidate -= 1
    ) {
      steps += this.#costOf(candidate);
      if (this.timesOfDay(candidate).length > 0) return candidate;
    }
    return null;
  }

  protected timesOfDay(day: number): readonly number[] {
    if (day !== this.#day) {
      this.#found = letsDayIn(this.rule, day) ? this.#compute(day) : [];
      this.#day = day;
    }
    return this.#found;
  }

  #unitSeconds(): number {
    return unitSeconds[this.rule.frequency] ?? 1;
  }

  /** Looking at a day costs as many steps as it has units, and at least one. */
  #costOf(day: number): number {
    return letsDayIn(this.rule, day) ? Math.ceil(86_400 / this.#unitSeconds() / this.rule.interval) + 1 : 1;
  }

  #compute(day: number): number[] {
    const { rule } = this;
    const unit = this.#unitSeconds();
    const perDay = 86_400 / unit;
    const base = Math.floor(rule.startMs / 1000 / unit);
    const first = base + Math.ceil((day * perDay - base) / rule.interval) * rule.interval;
    const found: number[] = [];
    for (let index = first; index < (day + 1) * perDay; index += rule.interval) {
      const second = (index - day * perDay) * unit;
      const hour = Math.floor(second / 3600);
      if (rule.hours && !rule.hours.includes(hour)) continue;
      const minute = Math.floor(second / 60) % 60;
      if (unit < 3600 && rule.minutes && !rule.minutes.includes(minute)) continue;
      if (unit === 1 && rule.seconds && !rule.seconds.includes(second % 60)) continue;
      const inUnit = this.#inUnit(unit).map((offset) => (second + offset) * 1000);
      const { positions } = rule;
      if (positions) for (const at of indexesOf(positions, inUnit.length)) found.push(inUnit[at] ?? 0);
      else found.push(...inUnit);
    }
    return found;
  }

  /** Seconds within one unit that the rule names. */
  #inUnit(unit: number): readonly number[] {
    const { minutes, seconds } = this.rule;
    if (unit === 1) return [0];
    if (unit === 60) return seconds ?? [];
    return (minutes ?? []).flatMap((minute) => (seconds ?? []).map((second) => minute * 60 + second));
  }
}
