import { z } from 'zod';
import { assetNameSchema, idSchema, nameSchema, DEFAULT_SPACE } from './ids.js';

const time = z.iso.datetime();
const count = z.int().min(0);

export const MAX_FORECAST_DAYS = 92;

export const forecastQuerySchema = z.object({
  space: nameSchema.default(DEFAULT_SPACE),
  days: z.coerce.number().int().min(1).max(MAX_FORECAST_DAYS).default(7),
  /** Only runs that touch it. */
  asset: assetNameSchema.optional(),
});
export type ForecastQuery = z.infer<typeof forecastQuerySchema>;

/** How long runs took: of ended ones that succeeded or failed, the last 100 of the schedule, or of the runbook where those are too few. */
export const forecastDurationSchema = z.object({
  /** `none`: nothing of it has ended yet; `expectedMs` is an assumption. */
  basis: z.enum(['schedule', 'runbook', 'none']),
  samples: count,
  medianMs: count.nullable(),
  p90Ms: count.nullable(),
  /** What the forecast reckons with: the 90th percentile, else ten minutes. */
  expectedMs: count,
});
export type ForecastDuration = z.infer<typeof forecastDurationSchema>;

/** Another run, of a schedule or one that is open now. */
export const forecastOtherSchema = z.union([
  z.object({ schedule: nameSchema, at: time }),
  z.object({ runId: idSchema, runbook: nameSchema }),
]);
export type ForecastOther = z.infer<typeof forecastOtherSchema>;

export const forecastFindingSchema = z.object({
  /**
   * `asset`: another run changes the same assets then. `capacity`: a key has not enough units for all who want it then. `overlap`: the
   * run before of the same schedule is expected to be under way. `closed`: a calendar is closed. `closes`: a calendar closes before
   * the expected end. `deadline`: it is expected to start or finish later than it must. `no-targets`: the selector matches nothing now. `broken`: the start would be refused as things are.
   */
  kind: z.enum(['asset', 'capacity', 'overlap', 'closed', 'closes', 'deadline', 'no-targets', 'broken']),
  message: z.string(),
  with: forecastOtherSchema.nullable(),
  /** Of `asset`: how many both change, and the first of them. */
  assets: z.object({ count, names: z.array(z.string()) }).nullable(),
  /** Of `capacity`. */
  key: z.string().nullable(),
  /** Of `closed` and `closes`. */
  calendar: z.string().nullable(),
});
export type ForecastFinding = z.infer<typeof forecastFindingSchema>;

export const forecastRunSchema = z.object({
  schedule: nameSchema,
  runbook: nameSchema,
  /** The nominal instant. */
  at: time,
  /** The same by the clock of the schedule's zone, with its offset. */
  local: z.string(),
  timeZone: z.string(),
  /** Empty, or what a change of clocks has to do with it: `gap-shifted`, `overlap-first`, `overlap-last`. */
  note: z.string(),
  /**
   * Of a run that is due because one of another schedule has ended: whose. `at` is then no instant but the expected end of that one, which is
   * taken to succeed.
   */
  after: z.object({ schedule: nameSchema, on: z.enum(['success', 'completion', 'failure']) }).nullable(),
  /** What is expected to become of it as things are; `startsAt` is later than `at` where it is deferred or queued, null where it does not start. */
  outcome: z.enum(['starts', 'deferred', 'queued', 'skipped', 'refused']),
  startsAt: time.nullable(),
  endsAt: time.nullable(),
  duration: forecastDurationSchema,
  /** Null: it acts on no assets. Only those that the caller may see; `more`: there are more than were looked at. */
  targets: z.object({ count, names: z.array(z.string()), undetermined: count, more: z.boolean() }).nullable(),
  findings: z.array(forecastFindingSchema),
});
export type ForecastRun = z.infer<typeof forecastRunSchema>;

export const forecastSchema = z.object({
  space: nameSchema,
  from: time,
  to: time,
  asset: z.string().nullable(),
  /** By instant. */
  runs: z.array(forecastRunSchema),
  /** Schedules that start nothing by time in the range, and why. */
  idle: z.array(
    z.object({
      schedule: nameSchema,
      state: z.enum(['paused', 'quarantined', 'not-due', 'after']),
      reason: z.string(),
      /** Instants in the range that it would have had; null: not known. */
      instants: count.nullable(),
    }),
  ),
  /** What was not looked at, because a limit of the forecast was reached or it cannot be known before the run. */
  limits: z.array(z.string()),
});
export type Forecast = z.infer<typeof forecastSchema>;
