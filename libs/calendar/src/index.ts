export { parseCron, type CronSchedule } from './cron.js';
export {
  instants,
  MAX_INSTANTS,
  nextInstants,
  previousInstant,
  type GapPolicy,
  type Instant,
  type InstantNote,
  type InstantsQuery,
  type OverlapPolicy,
  type Recurrence,
  type Time,
} from './instants.js';
export {
  MAX_DECISIONS,
  ON_TIME_MS,
  settleInstants,
  type FireDecision,
  type FireOutcome,
  type FireReason,
  type PausedRange,
  type SettleInput,
  type Settlement,
} from './settle.js';
export { assertTimeZone, zoneDataVersion } from './zone.js';
