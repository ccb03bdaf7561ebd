import { z } from 'zod';
import { capacitySpecSchema } from './capacity.js';
import { DEFAULT_SPACE, labelsSchema, nameSchema } from './ids.js';

export const API_VERSION = 'fettle/v1';

export const metadataSchema = z.strictObject({
  name: nameSchema,
  space: nameSchema.default(DEFAULT_SPACE),
  labels: labelsSchema.default({}),
  description: z.string().max(2000).optional(),
});

/** Nothing here waits longer than a year; it also keeps every moment that is computed of it a date. */
export const MAX_DURATION_MS = 365 * 86_400_000;

/** `90`, `"90s"`, `"5m"`, `"2h"`, `"1d"`: a bare number counts seconds. From a millisecond to `maxMs`, which `maxText` spells out. */
function durationUpTo(maxMs: number, maxText: string) {
  return z
    .union([
      z.number().positive(),
      z
        .string()
        .regex(/^\d+(ms|s|m|h|d)$/, { message: 'must be a number of seconds or text such as "30s", "5m", "2h", "1d"' }),
    ])
    .refine((duration) => (readDuration(duration) ?? 1) >= 1, { message: 'must be at least 1 millisecond' })
    .refine((duration) => (readDuration(duration) ?? 0) <= maxMs, { message: `must be at most ${maxText}` });
}

export const durationSchema = durationUpTo(MAX_DURATION_MS, '365 days');
export type Duration = z.infer<typeof durationSchema>;

/** A wait between attempts: a target that waits longer than a day belongs into the next run. */
const backoffSchema = durationUpTo(86_400_000, '24 hours');

const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Milliseconds; null where the text is no duration. */
function readDuration(duration: number | string): number | null {
  if (typeof duration === 'number') return Math.round(duration * 1000);
  const match = /^(\d+)(ms|s|m|h|d)$/.exec(duration);
  return match ? Number(match[1]) * unitMs[match[2] as keyof typeof unitMs] : null;
}

/** Milliseconds of a duration that `durationSchema` accepted. */
export function durationMs(duration: Duration): number {
  const durationMs = readDuration(duration);
  if (durationMs === null) throw new RangeError(`not a duration: ${duration}`);
  return durationMs;
}

/** An expression in CEL that selects assets, e.g. `asset.kind == "server"`. */
export const selectorSchema = z.string().min(1).max(4096);

export const retrySchema = z.strictObject({
  /** Attempts in all, the first included. */
  maxAttempts: z.int().min(1).max(20),
  /** Wait before the second attempt; doubles with each further one up to `maxBackoff`. */
  backoff: backoffSchema.default('5s'),
  maxBackoff: backoffSchema.default('5m'),
});

export const stepIdSchema = z.string().regex(/^[a-z][a-z0-9_]{0,62}$/, {
  message: 'must start with a lower-case letter and hold only lower-case letters, digits and "_" (at most 63)',
});

export const stepSchema = z.strictObject({
  id: stepIdSchema,
  name: z.string().max(200).optional(),
  uses: z.string().min(1).max(100),
  /** Checked against the action's input schema once `${{ }}` are evaluated; whatever is constant is checked by `validate`. */
  with: z.record(z.string(), z.unknown()).default({}),
  /** CEL without `${{ }}`; the step is skipped where it is not true. */
  if: z.string().min(1).max(4096).optional(),
  retry: retrySchema.optional(),
  timeout: durationSchema.optional(),
  /** Name -> CEL over `result` (the action's output); later steps read it as `steps.<id>.<name>`. */
  outputs: z.record(stepIdSchema, z.string().min(1).max(4096)).optional(),
  onError: z.enum(['fail', 'continue']).default('fail'),
});
export type Step = z.infer<typeof stepSchema>;

/** `"10%"`, `"0.5%"`: a share of the run's targets, with at most two decimals. */
export const percentageSchema = z.string().regex(/^(100(\.0{1,2})?|\d{1,2}(\.\d{1,2})?)%$/, {
  message: 'must be a number or a percentage such as "10%" or "0.5%"',
});

/** A number of targets, or a percentage of the run's targets. */
export const targetShareSchema = z.union([z.int().min(0).max(1_000_000), percentageSchema]);
export type TargetShare = z.infer<typeof targetShareSchema>;

/** Keys that are absent change nothing: no waves, no limit of failures, `linear`, targets in any order. */
export const rolloutSchema = z.strictObject({
  /** Targets worked on at once. */
  maxConcurrency: z.int().min(1).max(1000).default(100),
  /** How many targets each wave comes up to, those of the waves before it included; the last one is `100%`. */
  waves: z.array(targetShareSchema).min(1).max(100).optional(),
  /** Nothing more is dispatched once more targets than this have failed. */
  maxFailures: targetShareSchema.optional(),
  /** Count targets in flight as failed before more are dispatched. */
  strict: z.boolean().optional(),
  /** Wait between the end of a wave and the next. */
  soak: durationSchema.optional(),
  strategy: z.enum(['linear', 'free']).optional(),
  /** CEL over `asset`: targets are dispatched in the order of its values; those without one are last, ties go by name. */
  orderBy: z.string().min(1).max(4096).optional(),
});
export type Rollout = z.infer<typeof rolloutSchema>;

export const runbookSpecSchema = z.strictObject({
  description: z.string().max(10_000).optional(),
  /** JSON Schema (draft 2020-12) of an object. */
  inputs: z.record(z.string(), z.unknown()).default({ type: 'object', properties: {}, additionalProperties: false }),
  /** Absent: the runbook has control steps only. */
  targets: selectorSchema.optional(),
  rollout: rolloutSchema.default({ maxConcurrency: 100 }),
  timeout: durationSchema.default('24h'),
  /** `exclusive`: at most one run changes an asset at a time. */
  assetLock: z.enum(['exclusive', 'shared']).optional(),
  steps: z.array(stepSchema).min(1).max(200),
});
export type RunbookSpec = z.infer<typeof runbookSpecSchema>;

export const scheduleSpecSchema = z.strictObject({
  runbook: nameSchema,
  /** Five fields, or six with seconds first. */
  cron: z.string().min(1).max(200),
  /** IANA name. */
  timeZone: z.string().min(1).max(64).default('UTC'),
  inputs: z.record(z.string(), z.unknown()).default({}),
  /** Narrows the runbook's selector, never widens it. */
  targets: selectorSchema.optional(),
  /** How late a fire may still start; later ones are recorded as missed. */
  catchUp: durationSchema.default('10m'),
  overlap: z.enum(['skip', 'allow']).default('skip'),
});
export type ScheduleSpec = z.infer<typeof scheduleSpecSchema>;

const envelope = { apiVersion: z.literal(API_VERSION), metadata: metadataSchema };
export const runbookDocumentSchema = z.strictObject({
  ...envelope,
  kind: z.literal('Runbook'),
  spec: runbookSpecSchema,
});
export const scheduleDocumentSchema = z.strictObject({
  ...envelope,
  kind: z.literal('Schedule'),
  spec: scheduleSpecSchema,
});
export const capacityDocumentSchema = z.strictObject({
  ...envelope,
  kind: z.literal('Capacity'),
  spec: capacitySpecSchema,
});
export type CapacityDocument = z.infer<typeof capacityDocumentSchema>;
export type RunbookDocument = z.infer<typeof runbookDocumentSchema>;
export type ScheduleDocument = z.infer<typeof scheduleDocumentSchema>;

/** The explicit registry of document kinds: `apply`, `diff`, `validate` and `export` treat all of them alike. */
export const documentKinds = {
  Runbook: runbookDocumentSchema,
  Schedule: scheduleDocumentSchema,
  Capacity: capacityDocumentSchema,
} as const satisfies Record<string, z.ZodType>;
export type DocumentKind = keyof typeof documentKinds;
export type FettleDocument = RunbookDocument | ScheduleDocument | CapacityDocument;
