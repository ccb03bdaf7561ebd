import type { CalendarClosure, CalendarGate } from './calendar-gate.js';
import type { Recurrence } from './recurrence.js';
import type { Time } from './time.js';

/** `queued` and `deferred` wait, and end in exactly one of the others. */
export type FireOutcome = 'fired' | 'caught-up' | 'skipped' | 'missed' | 'refused' | 'queued' | 'deferred';

/**
 * Why an instant has its outcome. `paused`, `overlap`: skipped. `queue-full`: skipped, as many wait already as may. `late`: past the
 * catch-up limit, or late where nothing is caught up. `superseded`: a later one stands for it. `window`, `freeze`, `holiday`: a
 * calendar was closed. Empty: nothing stood against it.
 */
export type FireCode = '' | 'paused' | 'overlap' | 'queue-full' | 'late' | 'superseded' | CalendarClosure;

/** What made a fire: an instant of the schedule, a person now, a person for an instant that had no run, or the end of another schedule's run. */
export type FireSource = 'nominal' | 'trigger' | 'backfill' | 'after';

/** What stands beside an outcome. */
export interface FireVerdict {
  readonly outcome: FireOutcome;
  readonly code: FireCode;
  /** Now minus nominal; of what had waited, now minus the moment from which it could have started. */
  readonly latenessMs: number;
  /** Of a deferred one: the next opening, UTC. */
  readonly dueAt: string | null;
  /** The calendar that is closed. */
  readonly calendar: string | null;
}

export interface FireDecision extends FireVerdict {
  /** UTC, e.g. `2026-03-29T01:30:00Z`; of a stretch the first instant. */
  readonly nominalAt: string;
  /** How many instants in a row it stands for: paused and missed ones are one row. */
  readonly instants: number;
  /** The last of them. */
  readonly lastNominalAt: string;
  /** It goes on with the stretch that is the newest row of the ledger: that row grows, no new one is written. */
  readonly extendsLast: boolean;
}

/** A fire that waits, as it stands in the ledger. */
export interface WaitingFire {
  readonly nominalAt: Time;
  readonly source: FireSource;
  readonly outcome: 'queued' | 'deferred';
  /** Of a deferred one: when it may start. */
  readonly dueAt: Time | null;
}

/** What becomes of one that waited: it starts, ends without a run, or waits otherwise (`queued`, `deferred` with another opening). */
export interface WaitingEnd extends FireVerdict {
  readonly nominalAt: string;
  readonly source: FireSource;
}

/** A stretch [from, to) in which the schedule is paused; without `to` it is paused still. */
export interface PausedRange {
  readonly from: Time;
  readonly to?: Time | null;
}

export type RunOverlap = 'skip' | 'queue-one' | 'queue-all' | 'cancel-other' | 'allow';
export type MissedPolicy = 'none' | 'last' | 'all';
export type ClosedPolicy = 'refuse' | 'skip' | 'defer';

export interface SettleInput {
  readonly schedule: Recurrence;
  /** Every instant up to here (inclusive) has its outcome already. */
  readonly watermark: Time;
  readonly now: Time;
  /** How late a fire may still start. */
  readonly catchUpMs: number;
  readonly paused?: readonly PausedRange[];
  /** Whether a run of this schedule is under way. */
  readonly overlapRunning: boolean;
  /** When the last run of this schedule ended: from then on a queued fire could have started. */
  readonly freeSince?: Time | null;
  /** What becomes of an instant while a run is under way. */
  readonly overlap: RunOverlap;
  /** Which of several instants inside the catch-up limit start a run. Default `last`: one run makes up for all of them. */
  readonly missed?: MissedPolicy;
  /** What becomes of an instant while a calendar is closed. Default `skip`. */
  readonly whenClosed?: ClosedPolicy;
  readonly gate?: CalendarGate;
  readonly waiting?: readonly WaitingFire[];
  /** The newest row of the ledger that stands for instants of the schedule. */
  readonly last?: { readonly nominalAt: Time; readonly outcome: FireOutcome; readonly code: string } | null;
  /** Default and at most `MAX_INSTANTS_SETTLED`. */
  readonly maxInstants?: number;
  /** How many runs one settling starts. Default and at most `MAX_STARTS`. */
  readonly maxStarts?: number;
}

export interface Settlement {
  /** Ascending. */
  readonly decisions: readonly FireDecision[];
  /** What became of those that waited; who is not named waits on as before. */
  readonly ends: readonly WaitingEnd[];
  /** Runs under way are to be cancelled: what is queued starts when they have ended. */
  readonly cancelRunning: boolean;
  /** The new watermark, to be stored with the decisions. */
  readonly watermark: string;
  /** True where instants up to `now` are left: settle again from the new watermark. */
  readonly more: boolean;
}

export const MAX_INSTANTS_SETTLED = 10_000;
export const MAX_STARTS = 50;
/** More than so many fires of a schedule do not wait: later ones are skipped as `queue-full`. */
export const MAX_WAITING = 1000;
/** Beyond this a fire is not on time any more but caught up. */
export const ON_TIME_MS = 60_000;
