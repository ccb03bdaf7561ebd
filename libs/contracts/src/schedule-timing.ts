import { z } from 'zod';
import { durationSchema } from './duration.js';

const cronText = z.string().min(1).max(200);
const ruleText = z.string().min(1).max(4000);
/** `2026-12-24`, `2026-12-24T02:30` (by the clock of the schedule's zone) or with an offset (`Z`, `+02:00`). */
const timeText = z.string().min(10).max(40);

export const exclusionSchema = z.union([
  z.strictObject({ date: z.string().min(10).max(10) }),
  z.strictObject({ cron: cronText }),
  z.strictObject({ rrule: ruleText }),
]);

/** When a schedule is due: exactly one of `cron`, `every`, `rrule` and `at`; `libs/calendar` gives them their meaning. */
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

const kinds = ['cron', 'every', 'rrule', 'at'] as const;

/** For `superRefine`: exactly one kind of timing, and `phase` only with `every`. */
export function checkOneTiming(
  spec: Readonly<Partial<Record<(typeof kinds)[number] | 'phase', unknown>>>,
  context: z.RefinementCtx,
): void {
  const given = kinds.filter((kind) => spec[kind] !== undefined);
  if (given.length !== 1) {
    const found = given.length === 0 ? 'none is given' : `${given.join(' and ')} are given`;
    const path = given.length === 0 ? [] : [given[1] ?? ''];
    context.addIssue({ code: 'custom', path, message: `a schedule has one of ${kinds.join(', ')}; ${found}` });
  }
  if (spec.phase !== undefined && spec.every === undefined)
    context.addIssue({ code: 'custom', path: ['phase'], message: 'phase goes with every' });
}
