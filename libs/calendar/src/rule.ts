/** How often a rule of RFC 5545 recurs. */
export type RuleFrequency = 'YEARLY' | 'MONTHLY' | 'WEEKLY' | 'DAILY' | 'HOURLY' | 'MINUTELY' | 'SECONDLY';

export interface RuleWeekday {
  /** 0 (Sunday) to 6. */
  readonly day: number;
  /** The how many-th of its month or year, from the end where negative; null: each. */
  readonly nth: number | null;
}

/**
 * A parsed RRULE with its start and its exceptions: plain data. Times are those of the wall clock, in milliseconds as if it were UTC.
 * Null: the rule part is not given.
 */
export interface RuleSchedule {
  readonly source: string;
  readonly frequency: RuleFrequency;
  readonly interval: number;
  readonly startMs: number;
  readonly count: number | null;
  /** Inclusive. */
  readonly untilMs: number | null;
  /** Inclusive, as an instant: UNTIL in UTC. */
  readonly untilAtMs: number | null;
  /** 0 (Sunday) to 6. */
  readonly weekStart: number;
  readonly months: readonly number[] | null;
  readonly weekNumbers: readonly number[] | null;
  readonly daysOfYear: readonly number[] | null;
  readonly daysOfMonth: readonly number[] | null;
  readonly weekdays: readonly RuleWeekday[] | null;
  readonly hours: readonly number[] | null;
  readonly minutes: readonly number[] | null;
  readonly seconds: readonly number[] | null;
  readonly positions: readonly number[] | null;
  readonly extraTimesMs: readonly number[];
  readonly exceptTimesMs: readonly number[];
  /** Days since 1970. */
  readonly exceptDays: readonly number[];
  /** Recurs by the hour or faster without naming hours: no DST policy applies. */
  readonly followsElapsedTime: boolean;
}
