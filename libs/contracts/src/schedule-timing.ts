import { z } from 'zod';
import { durationSchema } from './duration.js';
import { scheduleAfterSchema } from './schedule-after.js';

const cronText = z.string().min(1).max(200);
const ruleText = z.string().min(1).max(4000);
/** `2026-12-24`, `2026-12-24T02:30` (by the clock of the schedule's zone) or with an offset (`Z`, `+02:00`). */
const timeText = z.string().min(10).max(40);

const nthSchema = z.union([z.int().min(1).max(23), z.int().min(-23).max(-1)]);
const timeOfDay = z.string().min(5).max(8);

export const exclusionSchema = z.union([
  z.strictObject({ date: z.string().min(10).max(10) }),
  z.strictObject({ cron: cronText }),
  z.strictObject({ rrule: ruleText }),
  /** All that are no business days, as `businessDays` says. */
  z.strictObject({ nonBusinessDays: z.literal(true) }),
]);

/** When a schedule is due: exactly one of `cron`, `every`, `rrule`, `at` and `monthly`; `libs/calendar` gives them their meaning. */
export const scheduleTimingShape = {
  /** Five fields, or six with seconds first. */
  cron: cronText.optional(),
  /** Elapsed time between instants, counted from 1970-01-01T00:00:00Z. */
  every: durationSchema.optional(),
  /** With `every`: so long after the multiples. */
  phase: durationSchema.optional(),
  /** RFC 5545, with lines DTSTART, EXDATE and RDATE if need be. */
  rrule: ruleText.optional(),
  /** Once. */
  at: timeText.optional(),
  /** Business days of months, by their number. */
  monthly: z
    .strictObject({
      /** 1 is the first, -1 the last; several in a list. */
      businessDay: z.union([nthSchema, z.array(nthSchema).min(1).max(46)]),
      /** 1 is January; absent: each. */
      months: z.array(z.int().min(1).max(12)).min(1).max(12).optional(),
      /** `06:30`, by the zone's clock; several in a list. */
      time: z.union([timeOfDay, z.array(timeOfDay).min(1).max(100)]),
    })
    .optional(),
  after: scheduleAfterSchema.optional(),
  /** What a business day is; absent: Monday to Friday. */
  businessDays: z
    .strictObject({
      weekend: z
        .array(z.enum(['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT']))
        .max(6)
        .default(['SAT', 'SUN']),
      /** Local days, `2026-12-25`. */
      holidays: z.array(z.string().min(10).max(10)).max(2000).default([]),
    })
    .optional(),
  /** Where an instant goes whose local day is no business day: to the next or the previous one, at the same time of day. */
  roll: z.enum(['next', 'previous']).optional(),
  /** IANA name. */
  timeZone: z.string().min(1).max(64).default('UTC'),
  /** What happens to local times that a change of clocks leaves out or repeats. */
  dst: z
    .strictObject({
      gap: z.enum(['shift', 'skip']).default('shift'),
      overlap: z.enum(['first', 'last', 'both']).default('first'),
    })
    .optional(),
  /** The first moment; a date counts from its begin. */
  start: timeText.optional(),
  /** The last moment, inclusive; a date counts to its end. */
  end: timeText.optional(),
  /** Local days and times that are left out. */
  exclude: z.array(exclusionSchema).max(200).optional(),
  /** Each instant comes later by up to this much, the same at each reckoning. */
  jitter: durationSchema.optional(),
};

const kinds = ['cron', 'every', 'rrule', 'at', 'monthly'] as const;

/** For `superRefine`: exactly one kind of timing, and `phase` only with `every`. */
export function checkOneTiming(
  spec: Readonly<Partial<Record<(typeof kinds)[number] | 'phase' | 'after', unknown>>>,
  context: z.RefinementCtx,
): void {
  const given = kinds.filter((kind) => spec[kind] !== undefined);
  if (given.length > 1 || (given.length === 0 && spec.after === undefined)) {
    const found = given.length === 0 ? 'none is given' : `${given.join(' and ')} are given`;
    const path = given.length === 0 ? [] : [given[1] ?? ''];
    context.addIssue({
      code: 'custom',
      path,
      message: `a schedule has one of ${kinds.join(', ')}, or after; ${found}`,
    });
  }
  if (spec.phase !== undefined && spec.every === undefined)
    context.addIssue({ code: 'custom', path: ['phase'], message: 'phase goes with every' });
}
