import { z } from 'zod';
import { assetNameSchema, DEFAULT_SPACE, nameSchema } from './ids.js';

/** What the API shows of calendars. Times are ISO 8601 in UTC. */
const time = z.iso.datetime();
const space = nameSchema.default(DEFAULT_SPACE);
/** Read as UTC where it has no offset. */
const timeText = z.string().min(10).max(40);

export const calendarClosures = ['window', 'freeze', 'holiday'] as const;

/** Why something may not begin now. */
export const closedBySchema = z.object({
  calendar: z.string(),
  reason: z.enum(calendarClosures),
  /** Null: none is known. */
  nextOpenAt: time.nullable(),
});
export type ClosedBy = z.infer<typeof closedBySchema>;

/** Whether work may begin, at one moment. */
export const openStateSchema = z.object({
  isOpen: z.boolean(),
  /** Present while it is open and will close. */
  closesAt: time.optional(),
  /** It is open until `closesAt` at least: its windows overlap so much that it was not looked any further. */
  isCut: z.literal(true).optional(),
  /** Present while it is closed. */
  closedBy: closedBySchema.optional(),
});
export type OpenState = z.infer<typeof openStateSchema>;

export const calendarQuerySchema = z.object({
  space,
  /** Default: now. */
  from: timeText.optional(),
  /** Default: 31 days after `from`. */
  to: timeText.optional(),
  /** Read by the clock of that site. */
  site: z.string().max(256).optional(),
});
export type CalendarQuery = z.infer<typeof calendarQuerySchema>;

/** Stretches that one answer lists. */
export const MAX_STRETCHES = 500;
export const calendarDetailSchema = z.object({
  space: nameSchema,
  name: nameSchema,
  timeZone: z.string(),
  description: z.string().nullable(),
  /** Null: it holds only where it is named. */
  assets: z.string().nullable(),
  assetCount: z.int(),
  /** Assets for which the selector was neither true nor false: the calendar does not hold for them. */
  undeterminedCount: z.int(),
  windows: z.int(),
  freezes: z.int(),
  holidays: z.int(),
  now: openStateSchema,
  from: time,
  to: time,
  stretches: z.array(
    z.object({
      from: time,
      to: time,
      /** The same by the clock of the calendar. */
      fromLocal: z.string(),
      toLocal: z.string(),
      isOpen: z.boolean(),
      reason: z.enum(calendarClosures).nullable(),
      name: z.string(),
    }),
  ),
  /** Freezes and holidays between the two moments, whether a window is open or not. */
  closures: z.array(
    z.object({
      from: time,
      to: time,
      fromLocal: z.string(),
      toLocal: z.string(),
      reason: z.enum(['freeze', 'holiday']),
      name: z.string(),
    }),
  ),
  /** More than `MAX_STRETCHES` of either lie between, or than could be looked through: some are missing, those of the last moments first. */
  isCut: z.boolean(),
});
export type CalendarDetail = z.infer<typeof calendarDetailSchema>;

export const calendarStatusQuerySchema = z.object({
  space,
  asset: assetNameSchema.optional(),
  at: timeText.optional(),
});
export type CalendarStatusQuery = z.infer<typeof calendarStatusQuerySchema>;
export const calendarStatusSchema = z.object({
  at: time,
  /** Null: of no asset, but of each calendar by itself. */
  asset: z.string().nullable(),
  /** Of all together; null without an asset. */
  state: openStateSchema.nullable(),
  calendars: z.array(
    z.object({ name: nameSchema, timeZone: z.string(), selector: z.string().nullable(), state: openStateSchema }),
  ),
});
export type CalendarStatus = z.infer<typeof calendarStatusSchema>;

/** Somebody with the right to it lets a run go on outside of its calendars. */
export const calendarOverrideSchema = z.object({ by: z.string(), reason: z.string(), at: time });
export type CalendarOverride = z.infer<typeof calendarOverrideSchema>;
/** How a run stands to calendars; absent in a run: no calendar held for it, and none is named. */
export const runCalendarSchema = z.object({
  /** Calendars that the runbook and the schedule name; all of these groups have to be open. */
  named: z.array(z.array(z.string())),
  onClose: z.enum(['finish', 'park']),
  override: calendarOverrideSchema.nullable(),
  /** Since then nothing of it could go on; its timeout stands still. Null: something can. */
  closedSince: time.nullable(),
  /** Targets that wait for a calendar now. */
  waiting: z.int(),
});
export type RunCalendar = z.infer<typeof runCalendarSchema>;
/** What a planned run would meet; a fact of the moment. */
export const plannedCalendarSchema = z.object({
  /** Of the whole run: open where one of its targets may begin. */
  state: openStateSchema,
  /** How long runs of this runbook took lately; null: none has ended. */
  expectedMs: z.int().nullable(),
  /** It closes before the run would have ended. */
  closesBeforeEnd: z.boolean(),
  /** Targets that could not begin now, by what closes them: at most 20 groups. */
  closed: z.array(closedBySchema.extend({ targets: z.int(), example: z.string() })),
});
export type PlannedCalendar = z.infer<typeof plannedCalendarSchema>;
