import { scheduleConductShape } from './schedule-conduct.js';
import { scheduleDeadlineShape } from './schedule-deadlines.js';
import { scheduleNotifyShape } from './schedule-notify.js';
import { checkOneTiming, scheduleTimingShape } from './schedule-timing.js';
import { z } from 'zod';
import { durationSchema } from './duration.js';
import { calendarNamesSchema, calendarSpecSchema, onCloseSchema } from './calendar-spec.js';
import { capacitySpecSchema } from './capacity.js';
import { DEFAULT_SPACE, labelsSchema, nameSchema } from './ids.js';
import { patchBaselineSpecSchema } from './patch-baseline.js';
import { sizeSchema } from './size.js';
import { capacitySchema, expressionSchema, stepIdSchema, stepsSchema } from './steps.js';

export const API_VERSION = 'fettle/v1';

export const metadataSchema = z.strictObject({
  name: nameSchema,
  space: nameSchema.default(DEFAULT_SPACE),
  labels: labelsSchema.default({}),
  description: z.string().max(2000).optional(),
});

/** An expression in CEL that selects assets, e.g. `asset.kind == "server"`. */
export const selectorSchema = z.string().min(1).max(4096);

/** `"10%"`, `"0.5%"`: a share of the run's targets, with at most two decimals. */
export const percentageSchema = z.string().regex(/^(100(\.0{1,2})?|\d{1,2}(\.\d{1,2})?)%$/, {
  message: 'must be a number or a percentage such as "10%" or "0.5%"',
});

/** A number of targets, or a percentage of the run's targets. */
export const targetShareSchema = z.union([z.int().min(0).max(1_000_000), percentageSchema]);
export type TargetShare = z.infer<typeof targetShareSchema>;

/**
 * What has to hold after a wave before the next one begins. `require` is decided once; an action is repeated every so often until
 * `condition` over its `result` has held so many times in a row, at most for `timeout`.
 */
export const waveGateSchema = z.strictObject({
  /** CEL over `inputs` and `run`, such as `run.counts.failed == 0`. */
  require: expressionSchema.optional(),
  /** An action of control scope that only looks, such as `http.request`. */
  uses: z.string().min(1).max(100).optional(),
  with: z.record(z.string(), z.unknown()).optional(),
  /** CEL over `result`. */
  condition: expressionSchema.optional(),
  every: durationSchema.default('10s'),
  timeout: durationSchema.default('5m'),
  /** How many looks in a row it must hold. */
  consecutive: z.int().min(1).max(100).default(1),
  /** Where it stays closed; absent: `stop`. */
  onFailure: z.enum(['stop', 'continue', 'rollback']).optional(),
});
export type WaveGate = z.infer<typeof waveGateSchema>;

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
  /** Looked at after each wave but the last, after `soak`: where it does not hold, no further wave is dispatched. */
  gate: waveGateSchema.optional(),
  strategy: z.enum(['linear', 'free']).optional(),
  /** CEL over `asset`: targets are dispatched in the order of its values; those without one are last, ties go by name. */
  orderBy: z.string().min(1).max(4096).optional(),
});
export type Rollout = z.infer<typeof rolloutSchema>;

/** Findings of `fettle lint` that are known and meant to be so; each with the reason why. */
export const lintSettingsSchema = z.strictObject({
  ignore: z
    .array(
      z.strictObject({
        code: z.string().min(1).max(100),
        /** Only for this step; absent: for the whole runbook. */
        step: stepIdSchema.optional(),
        reason: z.string().min(1).max(500),
      }),
    )
    .max(200),
});

/** States of a run that somebody may be told of. */
export const notifyStates = ['waiting-approval', 'running', 'succeeded', 'failed', 'cancelled', 'timed-out'] as const;

/** Tells somebody when the run comes into one of the states. */
export const notificationSchema = z.strictObject({
  on: z.array(z.enum(notifyStates)).min(1).max(notifyStates.length),
  /** An action that notifies: `notify.webhook` or `notify.mail`. */
  uses: z.string().min(1).max(100),
  /** The action's input; what happened is filled in where the action asks for it and it is not given. */
  with: z.record(z.string(), z.unknown()).default({}),
});
export type Notification = z.infer<typeof notificationSchema>;

export const runbookSpecSchema = z.strictObject({
  description: z.string().max(10_000).optional(),
  /** JSON Schema (draft 2020-12) of an object. */
  inputs: z.record(z.string(), z.unknown()).default({ type: 'object', properties: {}, additionalProperties: false }),
  /** Absent: the runbook has control steps only. */
  targets: selectorSchema.optional(),
  rollout: rolloutSchema.default({ maxConcurrency: 100 }),
  timeout: durationSchema.default('24h'),
  steps: stepsSchema,
  /** Steps that a failed step names in `onError`, as a `catch` of its own. */
  handlers: z.record(stepIdSchema, stepsSchema).optional(),
  /** Name -> CEL over `inputs`, `steps` and `run`: what a run that calls this one reads of it. */
  outputs: z.record(stepIdSchema, expressionSchema).optional(),
  /** Text with `${{ }}` that says what the run came to. */
  summary: z.string().max(4096).optional(),
  /** Held from the start of the run to its end. */
  capacity: capacitySchema.optional(),
  /** The higher comes first where runs wait for a capacity; 0 without. */
  priority: z.int().min(-100).max(100).optional(),
  /**
   * What is undone when the run does not succeed, step by step in reverse order. `unfinished`: targets that did not come through, and
   * steps of the run where it was broken off. `all`: everything that was done. `nothing`: a person decides.
   */
  rollback: z.enum(['unfinished', 'all', 'nothing']).optional(),
  /** `exclusive`: at most one run changes an asset at a time. */
  assetLock: z.enum(['exclusive', 'shared']).optional(),
  lint: lintSettingsSchema.optional(),
  /** Runs start, and begin with targets, only while these are open, beside those of their assets. */
  calendars: calendarNamesSchema.optional(),
  /** A target that has begun when its calendar closes goes on to its end (`finish`), or waits before its next step (`park`). */
  onClose: onCloseSchema.optional(),

  /** Absent: nobody is told. */
  notify: z.array(notificationSchema).min(1).max(20).optional(),
  /** What is kept of the output of each attempt of a step, half from its beginning and half from its end; absent: 1 MiB. */
  logLimit: sizeSchema('8KiB', '16MiB').optional(),
});
export type RunbookSpec = z.infer<typeof runbookSpecSchema>;

export const scheduleSpecSchema = z
  .strictObject({
    runbook: nameSchema,
    ...scheduleTimingShape,
    inputs: z.record(z.string(), z.unknown()).default({}),
    /** Narrows the runbook's selector, never widens it. */
    targets: selectorSchema.optional(),
    /** Besides those of the runbook and of the assets. */
    calendars: calendarNamesSchema.optional(),
    /** Instead of what the runbook says. */
    onClose: onCloseSchema.optional(),
    ...scheduleConductShape,
    ...scheduleDeadlineShape,
    ...scheduleNotifyShape,
  })
  .superRefine(checkOneTiming);
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
export const calendarDocumentSchema = z.strictObject({
  ...envelope,
  kind: z.literal('Calendar'),
  spec: calendarSpecSchema,
});
export type CalendarDocument = z.infer<typeof calendarDocumentSchema>;
export const patchBaselineDocumentSchema = z.strictObject({
  ...envelope,
  kind: z.literal('PatchBaseline'),
  spec: patchBaselineSpecSchema,
});
export type PatchBaselineDocument = z.infer<typeof patchBaselineDocumentSchema>;
export type RunbookDocument = z.infer<typeof runbookDocumentSchema>;
export type ScheduleDocument = z.infer<typeof scheduleDocumentSchema>;

/** The explicit registry of document kinds: `apply`, `diff`, `validate` and `export` treat all of them alike. */
export const documentKinds = {
  Runbook: runbookDocumentSchema,
  Schedule: scheduleDocumentSchema,
  Capacity: capacityDocumentSchema,
  Calendar: calendarDocumentSchema,
  PatchBaseline: patchBaselineDocumentSchema,
} as const satisfies Record<string, z.ZodType>;
export type DocumentKind = keyof typeof documentKinds;
export type FettleDocument =
  RunbookDocument | ScheduleDocument | CapacityDocument | CalendarDocument | PatchBaselineDocument;
