import type { CronSchedule } from './cron.js';
import { DAY_MS, DayFinder } from './days.js';

/**
 * Times that a wall clock shows, without any zone: milliseconds as if the clock were UTC, days counted since 1970. A day that
 * `nextDay` or `previousDay` names may hold a time; one that they pass over holds none.
 */
export interface LocalTimes {
  /** No DST policy applies: it fires wherever the wall clock matches. */
  readonly followsElapsedTime: boolean;
  /** The first such day from `day` on, or null where none comes within the search limit. */
  nextDay(day: number): number | null;
  /** The last such day up to `day`, or null. */
  previousDay(day: number): number | null;
  /** Times in [fromMs, toMs), ascending. */
  times(fromMs: number, toMs: number): Iterable<number>;
}

export class CronTimes implements LocalTimes {
  readonly followsElapsedTime: boolean;
  readonly #cron: CronSchedule;
  readonly #days: DayFinder;

  constructor(cron: CronSchedule) {
    this.#cron = cron;
    this.#days = new DayFinder(cron);
    this.followsElapsedTime = cron.followsElapsedTime;
  }

  nextDay(day: number): number | null {
    return this.#days.next(day);
  }

  previousDay(day: number): number | null {
    return this.#days.previous(day);
  }

  *times(fromMs: number, toMs: number): Generator<number> {
    const { hours, minutes, seconds } = this.#cron;
    const days = this.#days;
    for (
      let day = days.next(Math.floor(fromMs / DAY_MS));
      day !== null && day * DAY_MS < toMs;
      day = days.next(day + 1)
    ) {
      for (const hour of hours) {
        const hourMs = day * DAY_MS + hour * 3_600_000;
        if (hourMs + 3_600_000 <= fromMs) continue;
        if (hourMs >= toMs) return;
        for (const minute of minutes) {
          const minuteMs = hourMs + minute * 60_000;
          if (minuteMs + 60_000 <= fromMs) continue;
          if (minuteMs >= toMs) return;
          for (const second of seconds) {
            const timeMs = minuteMs + second * 1000;
            if (timeMs >= toMs) return;
            if (timeMs >= fromMs) yield timeMs;
          }
        }
      }
    }
  }
}

/** A short list of times. */
export class ListedTimes implements LocalTimes {
  readonly followsElapsedTime: boolean;
  readonly #times: readonly number[];

  /** @param times ascending */
  constructor(times: readonly number[], followsElapsedTime = false) {
    this.#times = times;
    this.followsElapsedTime = followsElapsedTime;
  }

  nextDay(day: number): number | null {
    const found = this.#times[this.#firstFrom(day * DAY_MS)];
    return found === undefined ? null : Math.floor(found / DAY_MS);
  }

  previousDay(day: number): number | null {
    const found = this.#times[this.#firstFrom((day + 1) * DAY_MS) - 1];
    return found === undefined ? null : Math.floor(found / DAY_MS);
  }

  *times(fromMs: number, toMs: number): Generator<number> {
    for (let index = this.#firstFrom(fromMs); index < this.#times.length; index += 1) {
      const timeMs = this.#times[index];
      if (timeMs === undefined || timeMs >= toMs) return;
      yield timeMs;
    }
  }

  #firstFrom(timeMs: number): number {
    let [low, high] = [0, this.#times.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#times[middle] ?? 0) < timeMs) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
