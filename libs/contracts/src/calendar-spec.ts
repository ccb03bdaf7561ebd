import { z } from 'zod';
import { durationSchema } from './duration.js';
import { nameSchema } from './ids.js';
import { scheduleTimingShape } from './schedule-timing.js';

/** At most so many windows, freezes or holidays in one calendar: an imported one may list years of them. */
export const MAX_CALENDAR_SPANS = 2000;

const zoneText = z.string().min(1).max(64);
const { cron, every, phase, rrule, at, dst, start, end, exclude } = scheduleTimingShape;

/** When a stretch of time begins, as a schedule says when it is due, and how long it lasts. */
const recurring = {
  /** What a person calls it. */
  name: z.string().min(1).max(200).optional(),
  ...{ cron, every, phase, rrule, at, dst, start, end, exclude },
  /** Whose clock is read; absent: the calendar's, or that of the asset's site. */
  timeZone: zoneText.optional(),
  /** Elapsed time from its begin. */
  duration: durationSchema.optional(),
  /** Instead of `duration`: so many local days from its begin, however long a change of clocks makes them. */
  days: z.int().min(1).max(366).optional(),
};
/** A date counts from its begin as `from`, to its end as `to`; a time is exclusive as `to`. */
const range = { from: z.string().min(10).max(40).optional(), to: z.string().min(10).max(40).optional() };

export const windowSchema = z
  .strictObject({
    ...recurring,
    ...range,
    /** Nothing starts any more so long before its end. */
    cutoff: durationSchema.optional(),
  })
  .superRefine(checkSpan);
export type MaintenanceWindow = z.infer<typeof windowSchema>;

export const freezeSchema = z.strictObject({ ...recurring, ...range }).superRefine(checkSpan);
export type Freeze = z.infer<typeof freezeSchema>;

export const holidaySchema = z
  .strictObject({
    name: z.string().min(1).max(200).optional(),
    /** A local day, such as `2026-12-25`. */
    date: z.string().min(10).max(10).optional(),
    /** Days that come again: of what the rule names, the day counts. */
    rrule: rrule,
    days: z.int().min(1).max(366).optional(),
  })
  .superRefine((holiday, context) => {
    if ((holiday.date === undefined) !== (holiday.rrule === undefined)) return;
    context.addIssue({ code: 'custom', message: 'a holiday has one of date and rrule' });
  });
export type Holiday = z.infer<typeof holidaySchema>;

/** Without windows, work may start at any time but in freezes and on holidays. */
export const calendarSpecSchema = z.strictObject({
  description: z.string().max(10_000).optional(),
  /** IANA name. */
  timeZone: zoneText.default('UTC'),
  /** Site -> IANA name: for an asset there, the calendar is read by that clock. */
  siteTimeZones: z.record(z.string().min(1).max(256), zoneText).optional(),
  /** CEL over `asset`: it holds for these, whatever runs on them. Absent: only where a runbook or a schedule names it. */
  assets: z.string().min(1).max(4096).optional(),
  windows: z.array(windowSchema).max(MAX_CALENDAR_SPANS).optional(),
  freezes: z.array(freezeSchema).max(MAX_CALENDAR_SPANS).optional(),
  holidays: z.array(holidaySchema).max(MAX_CALENDAR_SPANS).optional(),
});
export type CalendarSpec = z.infer<typeof calendarSpecSchema>;

/** How a runbook or a schedule goes by calendars, beside those of its assets. */
export const calendarNamesSchema = z.array(nameSchema).min(1).max(20);
/** What becomes of a target that has begun when its calendar closes. */
export const onCloseSchema = z.enum(['finish', 'park']);
export type OnClose = z.infer<typeof onCloseSchema>;

/** How whoever starts a run goes by its calendars. */
export const calendarChoiceShape = {
  /** Where nothing of it may begin now: it is refused, or waits for the next opening; absent: `refuse`. */
  whenClosed: z.enum(['refuse', 'wait']).optional(),
  /** Why it goes on outside of its calendars; needs the right to it. */
  overrideCalendar: z.string().min(1).max(500).optional(),
};

const kinds = ['cron', 'every', 'rrule', 'at'] as const;
type SpanFields = Readonly<
  Partial<Record<(typeof kinds)[number] | 'from' | 'to' | 'duration' | 'days' | 'phase', unknown>>
>;

/** A range has `from` and `to`; anything else one kind of timing and one length. */
function checkSpan(span: SpanFields, context: z.RefinementCtx): void {
  const refuse = (path: readonly string[], message: string): void =>
    context.addIssue({ code: 'custom', path: [...path], message });
  const given = kinds.filter((kind) => span[kind] !== undefined);
  const lengths = (['duration', 'days'] as const).filter((key) => span[key] !== undefined);
  if (span.from !== undefined || span.to !== undefined) {
    if (span.from === undefined || span.to === undefined) refuse([], 'a range has both from and to');
    const other = given[0] ?? lengths[0];
    if (other !== undefined) refuse([other], `${other} does not go with from and to`);
    return;
  }
  if (given.length !== 1) {
    const found = given.length === 0 ? 'none is given' : `${given.join(' and ')} are given`;
    refuse(given.length === 0 ? [] : [given[1] ?? ''], `it has from and to, or one of ${kinds.join(', ')}; ${found}`);
  }
  if (lengths.length !== 1) refuse(lengths.length === 0 ? [] : ['days'], 'it has one of duration and days');
  if (span.phase !== undefined && span.every === undefined) refuse(['phase'], 'phase goes with every');
}
