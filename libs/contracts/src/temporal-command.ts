/** Commands to Temporal, as they stand in the outbox and as the relay sends them; `subject` is the workflow's id or what wakes schedules, and one subject's commands are sent in order. */
export type TemporalCommand =
  | {
      readonly kind: 'start-run';
      readonly subject: string;
      readonly payload: { readonly runId: string; readonly timeoutMs: number };
    }
  | { readonly kind: 'cancel-run'; readonly subject: string; readonly payload: { readonly runId: string } }
  | {
      readonly kind: 'put-schedule';
      readonly subject: string;
      readonly payload: {
        /** What a worker older than `waking` reads; null: only a newer one can place it. */
        readonly cron: string | null;
        readonly timeZone: string;
        /** Absent: sent by a version that knew only `cron`. */
        readonly waking?: WakingSpec | undefined;
      };
    }
  /** No schedule is woken by it any more. */
  | { readonly kind: 'delete-schedule'; readonly subject: string; readonly payload: Readonly<Record<string, never>> }
  /** Tells a run that something it waits for has come; `path` is the step's. */
  | { readonly kind: 'wake-run'; readonly subject: string; readonly payload: { readonly path: string } }
  | { readonly kind: 'enrol-asset'; readonly subject: string; readonly payload: { readonly enrolmentId: string } }
  /** Has a worker ask the probes of a plan. */
  | { readonly kind: 'check-plan'; readonly subject: string; readonly payload: { readonly checkId: string } };

/** Times of a clock that match all fields; null: any. Months from 1, days of the week from 0 (Sunday). */
export interface WakingTimes {
  readonly seconds: readonly number[];
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly daysOfMonth: readonly number[] | null;
  readonly months: readonly number[];
  readonly daysOfWeek: readonly number[] | null;
}

/** When Temporal is to wake a schedule: by a rule that goes on by itself, and at single instants that were computed. */
export interface WakingSpec {
  readonly timeZone: string;
  readonly times: readonly WakingTimes[];
  readonly interval: { readonly everyMs: number; readonly phaseMs: number } | null;
  /** UTC, whole seconds, ascending. */
  readonly entries: readonly string[];
  /** UTC; inclusive. */
  readonly start: string | null;
  readonly end: string | null;
}
