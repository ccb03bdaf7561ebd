export {
  alwaysOpen,
  GateBudget,
  type CalendarClosure,
  type CalendarGate,
  type GateClosed,
  type GateOpen,
  type GateQuestion,
  type GateState,
} from './calendar-gate.js';
export { parseCron, type CronSchedule } from './cron.js';
export type { NthDayOfWeek, SpecialDays } from './cron-special.js';
export {
  instants,
  iterateInstants,
  localTime,
  MAX_INSTANTS,
  nextInstants,
  previewInstants,
  previousInstant,
  type Instant,
  type InstantsQuery,
  type PreviewRow,
} from './instants.js';
export { jitterMs } from './jitter.js';
export type {
  CronRecurrence,
  Exclusion,
  GapPolicy,
  IntervalRecurrence,
  Jitter,
  OnceRecurrence,
  OverlapPolicy,
  Recurrence,
  RuleRecurrence,
} from './recurrence.js';
export { parseRule } from './rule-parse.js';
export type { RuleFrequency, RuleSchedule, RuleWeekday } from './rule.js';
export {
  scheduleRecurrence,
  timingChecks,
  timingText,
  wakingCron,
  type ScheduleTiming,
  type TimingCheck,
} from './schedule-recurrence.js';
export { settleInstants } from './settle.js';
export {
  MAX_INSTANTS_SETTLED,
  MAX_STARTS,
  MAX_WAITING,
  ON_TIME_MS,
  type ClosedPolicy,
  type FireCode,
  type FireDecision,
  type FireOutcome,
  type FireSource,
  type FireVerdict,
  type MissedPolicy,
  type PausedRange,
  type RunOverlap,
  type SettleInput,
  type Settlement,
  type WaitingEnd,
  type WaitingFire,
} from './settle-types.js';
export { MAX_TIME_MS, type Time } from './time.js';
export type { InstantNote, SkipNote } from './wall-clock.js';
export { assertTimeZone, zoneDataVersion } from './zone.js';
export { calendarChecks, MAX_RECURRING_SPANS } from './window-checks.js';
export {
  anyGate,
  bothGates,
  calendarZone,
  gateOf,
  gateStretches,
  readCalendar,
  type GateStretch,
  type ReadCalendar,
} from './window-calendar.js';
export type { Span, Stretch } from './window-span.js';
export { importIcal, type IcalOptions, type ImportedEvent, type ImportedIcal } from './calendar-ical.js';
export { calendarText, type CalendarEvent, type CalendarText } from './ical-text.js';
export { compareWaking, EXPLICIT_ENTRIES, wakingSpec, type WakingDifference } from './waking.js';
export {
  addBusinessDays,
  isBusinessDay,
  nearestBusinessDay,
  nthBusinessDay,
  type BusinessDays,
  type RollDirection,
} from './business-days.js';
