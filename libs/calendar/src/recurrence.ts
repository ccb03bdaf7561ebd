import type { BusinessDays, MonthlySchedule, RollDirection } from './business-days.js';
import type { CronSchedule } from './cron.js';
import type { RuleSchedule } from './rule.js';
import type { Time } from './time.js';

/** What happens to a local time that the clock jumps over. */
export type GapPolicy = 'shift' | 'skip';
/** What happens to a local time that comes twice. */
export type OverlapPolicy = 'first' | 'last' | 'both';

/** Instants that are left out. All are compared with the nominal local time: for a shifted instant, the one the schedule names. */
export type Exclusion =
  /** A whole local day, `2026-12-24`. */
  | { readonly date: string }
  /** Times that the expression names; with five fields, whole minutes. */
  | { readonly cron: CronSchedule }
  /** Times that the rule names. */
  | { readonly rule: RuleSchedule }
  /** All days but these. */
  | { readonly notOn: BusinessDays };

/** Instants come later by up to `maxMs`, by whole seconds, the same for the same seed and nominal instant; never as late as the next one. */
export interface Jitter {
  readonly maxMs: number;
  readonly seed: string;
}

interface RecurrenceBase {
  /** IANA name. */
  readonly timeZone: string;
  /** Default `shift`: by the length of the gap, so 02:30 becomes 03:30. */
  readonly gap?: GapPolicy;
  /** Default `first`. */
  readonly overlap?: OverlapPolicy;
  /** Nominal instants before this one do not count. */
  readonly start?: Time;
  /** Nominal instants from this one on do not count. */
  readonly end?: Time;
  readonly exclude?: readonly Exclusion[];
  readonly jitter?: Jitter;
  /** Where local days go that are no business days; not for elapsed time. */
  readonly roll?: { readonly days: BusinessDays; readonly to: RollDirection };
}

export interface CronRecurrence extends RecurrenceBase {
  readonly cron: CronSchedule;
}

/** Every `everyMs` of elapsed time, `phaseMs` after multiples of it since 1970-01-01T00:00:00Z. No DST policy applies. */
export interface IntervalRecurrence extends RecurrenceBase {
  readonly interval: { readonly everyMs: number; readonly phaseMs: number };
}

export interface RuleRecurrence extends RecurrenceBase {
  readonly rule: RuleSchedule;
}

/** Once, or never (it has no instants of its own): at a local time (milliseconds as if the clock were UTC), or at an instant. */
export interface OnceRecurrence extends RecurrenceBase {
  readonly once: { readonly localMs: number } | { readonly atMs: number } | { readonly never: true };
}

/** Business days of months, by their number. */
export interface MonthlyRecurrence extends RecurrenceBase {
  readonly monthly: MonthlySchedule;
}

/** When a schedule is due, the zone whose clock it reads, and what to do where that clock is moved. */
export type Recurrence = CronRecurrence | IntervalRecurrence | RuleRecurrence | OnceRecurrence | MonthlyRecurrence;
