import { z } from 'zod';
import { calendarChoiceShape } from './calendar-spec.js';
import { countsSchema } from './api.js';
import { assetNameSchema, idSchema } from './ids.js';
import { versionSchema } from './api-queries.js';
import { runStateSchema, stepStates, targetStateSchema } from './states.js';
import { stepPathSchema } from './steps.js';

/** Shapes for taking up a run that has ended, for settling what nobody knows, and for looking back at runs. */

/**
 * Targets by how they ended: `failed` (unreachable and quarantined ones, too), `unknown`, `unfinished` (all that did not come
 * through), `all`.
 */
export const targetChoices = ['failed', 'unknown', 'unfinished', 'all'] as const;
export type TargetChoice = (typeof targetChoices)[number];

const reason = z.string().min(1).max(500);
export const retryRunRequestSchema = z.strictObject({
  targets: z.enum(targetChoices).default('unfinished'),
  reason: reason.optional(),
  /** Also where nobody knows whether a step has happened; needs a reason. */
  rerunUnknown: z.boolean().default(false),
  ...calendarChoiceShape,
});
export type RetryRunRequest = z.infer<typeof retryRunRequestSchema>;
export const resumeRunRequestSchema = retryRunRequestSchema.extend({
  /** Of the runbook: a number, a digest, or `latest`; absent: that of the run. */
  version: z.union([versionSchema, z.literal('latest')]).optional(),
  /** Digest of the version whose difference from the run's own was seen. */
  acknowledge: z.string().max(80).optional(),
});
export type ResumeRunRequest = z.infer<typeof resumeRunRequestSchema>;
export const resolveRunRequestSchema = z.strictObject({
  /** Absent: a step of the run itself. */
  target: assetNameSchema.optional(),
  /** Path, with `#undo` behind it where it is the undoing that is unknown; absent: whichever is. */
  step: stepPathSchema.optional(),
  as: z.enum(['done', 'not-done']),
  reason,
});
export type ResolveRunRequest = z.infer<typeof resolveRunRequestSchema>;

// ---- the state after an entry ----
export const runStateQuerySchema = z.object({
  /** Number of an entry. */
  at: z.coerce.number().int().min(0),
});
export type RunStateQuery = z.infer<typeof runStateQuerySchema>;
const stepAtSchema = z.object({ step: z.string(), attempt: z.int(), state: z.enum(stepStates) });
export const runAtSchema = z.object({
  runId: idSchema,
  /** The last entry that is part of it; at most the number asked for. */
  seq: z.int(),
  at: z.iso.datetime().nullable(),
  /** Number of the run's last entry. */
  lastSeq: z.int(),
  state: runStateSchema,
  cancelRequested: z.boolean(),
  counts: countsSchema,
  /** Last attempt of each step of the run itself, in the order of their start. */
  controlSteps: z.array(stepAtSchema),
  /** By name; at most 1000. */
  targets: z.array(
    z.object({ asset: z.string(), state: targetStateSchema, step: z.string().nullable(), attempt: z.int().nullable() }),
  ),
  /** There are more. */
  isCut: z.boolean(),
});
export type RunAt = z.infer<typeof runAtSchema>;

// ---- the difference between two runs ----
export const runDiffQuerySchema = z.object({ with: idSchema });
export type RunDiffQuery = z.infer<typeof runDiffQuerySchema>;
const sideSchema = z.object({
  id: idSchema,
  runbook: z.string(),
  version: z.string(),
  state: runStateSchema,
  counts: countsSchema,
  targetCount: z.int(),
  targetSetDigest: z.string(),
  durationMs: z.number().nullable(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
});
const stepResultSchema = z.object({
  /** State of the last attempt -> number of targets; a step of the run itself counts as one. */
  states: z.record(z.string(), z.int()),
  /** Of the last attempts, in the mean. */
  meanMs: z.number().nullable(),
});
export const runDiffSchema = z.object({
  a: sideSchema,
  b: sideSchema,
  /** Lines such as `~ spec.steps[touch].with.argv: [...] -> [...]`; empty: the same version. */
  runbook: z.array(z.string()),
  /** Secrets stand as the names by which they are referred to. */
  inputs: z.array(z.string()),
  targets: z.object({
    onlyA: z.array(z.string()),
    onlyB: z.array(z.string()),
    /** In both, and ended otherwise. */
    changed: z.array(z.object({ asset: z.string(), a: targetStateSchema, b: targetStateSchema })),
    sameCount: z.int(),
    /** Lists are cut at 1000 names. */
    isCut: z.boolean(),
  }),
  /** Of either, in the order of their first start; null: not begun there. */
  steps: z.array(
    z.object({ step: z.string(), a: stepResultSchema.nullable(), b: stepResultSchema.nullable(), isSame: z.boolean() }),
  ),
});
export type RunDiff = z.infer<typeof runDiffSchema>;
