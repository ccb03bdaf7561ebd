import { z } from 'zod';
import { idSchema, nameSchema } from './ids.js';

const time = z.iso.datetime();
const nullableTime = time.nullable();

export const fireOutcomes = ['fired', 'caught-up', 'skipped', 'missed', 'refused', 'queued', 'deferred'] as const;

/** One row of the fire ledger. */
export const fireSchema = z.object({
  /** The instant; of a stretch the first one. */
  nominalAt: time,
  /** How many instants in a row it stands for: those of a pause or an outage are one row. */
  instants: z.int().min(1),
  lastNominalAt: time,
  /** `queued` and `deferred` wait, and end in exactly one of the others. */
  outcome: z.enum(fireOutcomes),
  /** Why, for programs; empty: nothing stood against it. */
  code: z.string(),
  /** Why, for people. */
  reason: z.string(),
  source: z.enum(['nominal', 'trigger', 'backfill', 'after']),
  /** It had to wait before: in the queue behind another run, or for an opening. */
  waited: z.enum(['queued', 'deferred']).nullable(),
  /** Of a deferred one: when it starts. */
  dueAt: nullableTime,
  /** What the reason rests on: lateness, calendar, the run that was under way, who paused. */
  evidence: z.record(z.string(), z.unknown()),
  runId: idSchema.nullable(),
  settledAt: time,
});
export type Fire = z.infer<typeof fireSchema>;

/** `GET /schedules/:name/ledger`: the newest first. */
export const ledgerSchema = z.object({
  space: nameSchema,
  schedule: nameSchema,
  /** Every instant up to here has its row. */
  watermark: time,
  /** Since when the schedule has been due as it is now; null: since before this was recorded. */
  countedFrom: nullableTime,
  /** Of the schedule's instants in (countedFrom, watermark]: how many there are by the calendar, and what became of them. */
  check: z
    .object({
      instants: z.int(),
      outcomes: z.record(z.string(), z.int()),
      /** The instants are as many as the outcomes together. */
      isSound: z.boolean(),
    })
    .nullable(),
  /** Why there is no check: it stands with the first page, and where it can be told without much work. */
  unchecked: z.string().nullable(),
  items: z.array(fireSchema),
  next: z.string().nullable(),
});
export type Ledger = z.infer<typeof ledgerSchema>;

/** `GET /schedules/:name/why?at=TIME`. */
export const whyQuerySchema = z.object({ space: nameSchema.default('default'), at: time.optional() });
export const scheduleWhySchema = z.object({
  schedule: nameSchema,
  /** The instant asked about, or the last one. */
  at: nullableTime,
  /** One sentence. */
  answer: z.string(),
  fire: fireSchema.nullable(),
});
export type ScheduleWhy = z.infer<typeof scheduleWhySchema>;

const reason = z.string().min(1).max(500);
export const pauseRequestSchema = z.strictObject({
  reason,
  /** It goes on by itself from here. */
  until: time.optional(),
});
export type PauseRequest = z.infer<typeof pauseRequestSchema>;

export const triggerRequestSchema = z.strictObject({
  /** Starts it although a run is under way or a calendar is closed; needs `schedule:override`. */
  override: z.strictObject({ reason }).optional(),
});
export type TriggerRequest = z.infer<typeof triggerRequestSchema>;

export const MAX_BACKFILL = 1000;
export const backfillRequestSchema = z.strictObject({
  /** Inclusive. */
  from: time,
  /** Exclusive. */
  to: time,
  reason,
  dryRun: z.boolean().default(false),
});
export type BackfillRequest = z.infer<typeof backfillRequestSchema>;
export const backfillSchema = z.object({
  schedule: nameSchema,
  dryRun: z.boolean(),
  /** Instants of the range that get a run, one after the other unless the schedule allows overlap. */
  queued: z.array(time),
  /** Instants of the range that have had a run, or wait for one. */
  alreadyRan: z.int(),
  /** Of a dry run: why nothing would be filled in now; absent: it would be. */
  notice: z.string().optional(),
});
export type Backfill = z.infer<typeof backfillSchema>;

/** `GET /schedules/:name/notifications`: what was told of it lately, the newest first; kept for 90 days. */
export const scheduleNotificationsSchema = z.object({
  schedule: nameSchema,
  items: z.array(
    z.object({
      at: time,
      state: z.string(),
      reason: z.string(),
      /** Index in `notify` of the document as it was then, and the action. */
      item: z.int().min(0),
      uses: z.string(),
      attempts: z.int().min(0),
      /** Null: it is tried again. */
      outcome: z.enum(['sent', 'failed']).nullable(),
      doneAt: nullableTime,
      /** Of one that is tried again: when. */
      nextAt: nullableTime,
      error: z.object({ code: z.string(), message: z.string() }).nullable(),
    }),
  ),
});
export type ScheduleNotifications = z.infer<typeof scheduleNotificationsSchema>;
