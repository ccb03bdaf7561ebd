import { z } from 'zod';
import { capacityKeySchema } from './capacity.js';
import { API_VERSION, metadataSchema } from './documents.js';
import { durationSchema } from './duration.js';
import { assetNameSchema, labelsSchema, nameSchema } from './ids.js';
import { assetKinds, criticalities, lifecycleStates, targetStateSchema } from './states.js';
import { expressionSchema, stepPathSchema } from './steps.js';

/** An id of a step (wherever it stands), a path, or a path with `*` for any part of it: `each_site[*]/restart`. `#gate2` after it: the gate after wave 2. */
const stepPatternSchema = z.string().regex(/^[A-Za-z0-9_.:@%!#/[\]*~-]{1,500}$/, {
  message: 'must be the id or the path of a step, with "*" for any part of it',
});

/** An asset of the small estate; what is left out is missing, as it is in an inventory. */
export const estateAssetSchema = z.strictObject({
  name: assetNameSchema,
  kind: z.enum(assetKinds).default('server'),
  owner: z.string().max(200).optional(),
  site: z.string().max(200).optional(),
  criticality: z.enum(criticalities).optional(),
  lifecycle: z.enum(lifecycleStates).default('active'),
  labels: labelsSchema.default({}),
  facts: z.record(z.string(), z.unknown()).default({}),
  quarantined: z.boolean().default(false),
});
export type EstateAsset = z.infer<typeof estateAssetSchema>;

/** Which attempts something is about; members that are left out fit all. */
const attemptFilter = {
  step: stepPatternSchema,
  /** The called runbook whose step it is; absent: the one that is rehearsed. */
  runbook: nameSchema.optional(),
  target: assetNameSchema.optional(),
  /** `undo`: attempts of the step's rollback. */
  phase: z.enum(['do', 'undo']).default('do'),
  /** Number of the attempt, from 1. */
  attempt: z.int().min(1).max(1000).optional(),
};

export const mockErrorSchema = z.strictObject({
  code: nameSchema,
  message: z.string().max(2000).default('mocked'),
});

/** What an action comes to. The first mock that fits decides; without one it succeeds with an output of its schema's shape. */
export const mockSchema = z.strictObject({
  ...attemptFilter,
  /** CEL over `asset`, `inputs`, `item`, `steps` and `run`. */
  if: expressionSchema.optional(),
  state: z.enum(['succeeded', 'failed', 'unreachable', 'quarantined', 'unknown']).optional(),
  exitCode: z.int().min(0).max(255).optional(),
  error: mockErrorSchema.optional(),
  /** Members of the action's output, with `${{ }}` over the same as `if`; those left out are made up. */
  output: z.record(z.string(), z.unknown()).optional(),
  /** Simulated time that the attempt takes. */
  takes: durationSchema.default('1s'),
});
export type Mock = z.infer<typeof mockSchema>;

export const faultKinds = ['fail', 'time-out', 'crash', 'cancel', 'unreachable'] as const;

/**
 * What goes wrong while an attempt is in flight. `crash`: the worker is lost; what can be repeated is executed again, what may have
 * changed something becomes `unknown`. `cancel`: somebody cancels the run.
 */
export const faultSchema = z.strictObject({ ...attemptFilter, kind: z.enum(faultKinds) });
export type Fault = z.infer<typeof faultSchema>;

export const decisionSchema = z.strictObject({
  step: stepPatternSchema,
  runbook: nameSchema.optional(),
  decision: z.enum(['approve', 'reject']),
  by: z.string().min(1).max(200).default('somebody'),
  reason: z.string().max(2000).optional(),
  /** Simulated time after the question. */
  after: durationSchema.default('1m'),
});

export const rehearsedSignalSchema = z.strictObject({
  name: nameSchema,
  payload: z.unknown().optional(),
  /** Simulated time after the start of the run; one that comes before it is waited for is kept. */
  after: durationSchema.default('1s'),
});

/** All of a capacity, held by runs that are not rehearsed. */
export const heldCapacitySchema = z.strictObject({
  key: capacityKeySchema,
  /** Simulated time after the start of the run. */
  from: durationSchema.default('0s'),
  /** For so long; absent: for ever. */
  for: durationSchema.optional(),
});

/** Text: the start of a step of that path. Otherwise an entry that has all the members given. */
export const entryPatternSchema = z.union([
  stepPatternSchema,
  z.strictObject({
    /** Kind of the entry, such as `step-ended`. */
    entry: nameSchema.optional(),
    runbook: nameSchema.optional(),
    step: stepPatternSchema.optional(),
    target: assetNameSchema.optional(),
    state: z.string().min(1).max(50).optional(),
    attempt: z.int().min(1).max(1000).optional(),
    /** Code of the error. */
    error: nameSchema.optional(),
  }),
]);
export type EntryPattern = z.infer<typeof entryPatternSchema>;

export const expectationSchema = z.strictObject({
  state: z.enum(['succeeded', 'failed', 'cancelled', 'timed-out']),
  /** Code of the run's error. */
  error: nameSchema.optional(),
  /** End state of each target named. */
  targets: z.record(assetNameSchema, targetStateSchema).optional(),
  outputs: z.record(z.string(), z.unknown()).optional(),
  summary: z.string().max(4096).optional(),
  /** These entries in this order; others may stand between them. */
  sequence: z.array(entryPatternSchema).min(1).max(500).optional(),
  /** Exactly these steps are started in this order; the same step on several targets counts once. */
  steps: z.array(stepPathSchema).max(500).optional(),
  /** Entries that there must be none of. */
  absent: z.array(entryPatternSchema).min(1).max(200).optional(),
  /** Exactly these approvals are asked for, in this order. */
  approvals: z.array(stepPathSchema).max(100).optional(),
  /** Exactly these steps are undone, in this order. */
  rollbacks: z
    .array(z.strictObject({ step: stepPathSchema, target: assetNameSchema.optional() }))
    .max(500)
    .optional(),
  /** The run takes at most so much simulated time. */
  within: durationSchema.optional(),
});
export type Expectation = z.infer<typeof expectationSchema>;

const estateSchema = z
  .array(estateAssetSchema)
  .max(1000)
  .refine((assets) => new Set(assets.map(({ name }) => name)).size === assets.length, {
    message: 'must have each name once',
  });
const momentSchema = z.iso.datetime({ offset: true });

export const rehearsalCaseSchema = z.strictObject({
  name: z.string().min(1).max(200),
  /** Members replace those of the rehearsal. */
  inputs: z.record(z.string(), z.unknown()).default({}),
  /** Instead of the rehearsal's. */
  estate: estateSchema.optional(),
  /** Looked at before those of the rehearsal. */
  mocks: z.array(mockSchema).max(500).default([]),
  faults: z.array(faultSchema).max(100).default([]),
  approvals: z.array(decisionSchema).max(100).default([]),
  signals: z.array(rehearsedSignalSchema).max(100).default([]),
  /** What others hold: whoever asks for it waits. */
  capacity: z.array(heldCapacitySchema).max(100).default([]),
  expects: expectationSchema,
});
export type RehearsalCase = z.infer<typeof rehearsalCaseSchema>;

export const rehearsalSpecSchema = z.strictObject({
  description: z.string().max(10_000).optional(),
  /** Name of a runbook in the same files. */
  runbook: nameSchema,
  inputs: z.record(z.string(), z.unknown()).default({}),
  estate: estateSchema.default([]),
  mocks: z.array(mockSchema).max(500).default([]),
  /** When the run begins, in simulated time. */
  startAt: momentSchema.default('2026-01-01T00:00:00Z'),
  /** Decides the order among targets, and how long attempts take that are not mocked. */
  seed: z.int().min(0).max(0xffff_ffff).default(1),
  cases: z
    .array(rehearsalCaseSchema)
    .min(1)
    .max(200)
    .refine((cases) => new Set(cases.map(({ name }) => name)).size === cases.length, {
      message: 'must have each name once',
    }),
});
export type RehearsalSpec = z.infer<typeof rehearsalSpecSchema>;

/** Stands in files beside the runbook that it tests. It is no document that a server stores. */
export const rehearsalDocumentSchema = z.strictObject({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal('Rehearsal'),
  metadata: metadataSchema,
  spec: rehearsalSpecSchema,
});
export type RehearsalDocument = z.infer<typeof rehearsalDocumentSchema>;
