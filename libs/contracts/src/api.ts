import { z } from 'zod';
import { assetLockWaitSchema, runCapacitySchema } from './capacity-views.js';
import { calendarChoiceShape } from './calendar-spec.js';
import { closedBySchema, runCalendarSchema } from './calendar-views.js';
import { approvalSchema } from './api-approval.js';
import { fireSchema } from './api-schedules.js';
import { assetNameSchema, DEFAULT_SPACE, idSchema, nameSchema } from './ids.js';
import { planDigestSchema } from './api-plan.js';
import { selectorSchema } from './documents.js';
import { stepPathSchema } from './steps.js';
import { effects, roles, runStateSchema, stepStates, targetStateSchema } from './states.js';

/** Shapes of the control API under `/api/v1`. Times are ISO 8601 in UTC. */
const space = nameSchema.default(DEFAULT_SPACE);
const time = z.iso.datetime();
const nullableTime = time.nullable();

/** RFC 9457. `code` is stable; `findings` lists all problems of a document at once. */
export const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  code: z.string(),
  detail: z.string(),
  remedy: z.string().optional(),
  requestId: z.string(),
  findings: z.array(z.record(z.string(), z.unknown())).optional(),
  context: z.record(z.string(), z.unknown()).optional(),
});
export type Problem = z.infer<typeof problemSchema>;

export const PAGE_LIMIT = 1000;
/** Keyset pages: `next` is an opaque cursor; null: this was the last page. Nothing is ever counted. */
export const pageQuerySchema = z.object({
  limit: z.coerce.number().int().min(1).max(PAGE_LIMIT).default(100),
  after: z.string().max(1024).optional(),
  space,
});
export type PageQuery = z.infer<typeof pageQuerySchema>;
export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({ items: z.array(item), next: z.string().nullable() });
}
export interface Page<Item> {
  readonly items: readonly Item[];
  readonly next: string | null;
}

// ---- documents ----
export const applyRequestSchema = z.strictObject({
  /** YAML or JSON, one or more documents. */
  source: z.string().min(1).max(1_048_576),
  file: z.string().max(500).optional(),
  dryRun: z.boolean().default(false),
});
export const applyResultSchema = z.object({
  items: z.array(
    z.object({
      kind: z.string(),
      space: z.string(),
      name: z.string(),
      version: z.string(),
      number: z.int(),
      result: z.enum(['created', 'changed', 'unchanged']),
      /** Lines such as `~ spec.steps[0].with.argv: [...] -> [...]`. */
      diff: z.array(z.string()),
    }),
  ),
  findings: z.array(z.record(z.string(), z.unknown())),
});
export type ApplyResult = z.infer<typeof applyResultSchema>;
export const documentSummarySchema = z.object({
  kind: z.string(),
  space: z.string(),
  name: z.string(),
  version: z.string(),
  number: z.int(),
  updatedAt: time,
});
export const documentDetailSchema = documentSummarySchema.extend({ source: z.string(), parsed: z.unknown() });
export type DocumentDetail = z.infer<typeof documentDetailSchema>;

// ---- runs ----
export const startRunRequestSchema = z.strictObject({
  runbook: nameSchema,
  space,
  /** Digest or number of a version; absent: the current one. */
  version: z.string().max(80).optional(),
  inputs: z.record(z.string(), z.unknown()).default({}),
  /** Narrows the runbook's selector. */
  on: selectorSchema.optional(),
  allowEmpty: z.boolean().default(false),
  reason: z.string().max(500).optional(),
  /** The run does what the plan of this digest says, or is refused with `plan-drift`. */
  planDigest: planDigestSchema.optional(),
  ...calendarChoiceShape,
});
export type StartRunRequest = z.infer<typeof startRunRequestSchema>;
export const idempotencyKeySchema = z.string().min(1).max(200);

export const execRequestSchema = z.strictObject({
  space,
  on: selectorSchema,
  argv: z.array(z.string().max(65_536)).min(1).max(1000),
  effect: z.enum(effects).optional(),
  become: z.boolean().default(false),
  /** For each target; as much as `ssh.run` takes, and at least the millisecond that a duration has. */
  timeoutSeconds: z
    .number()
    .min(0.001, { message: 'must be at least 0.001 seconds' })
    .max(21_600, { message: 'must be at most 21600 seconds (6 hours)' })
    .optional(),
  maxConcurrency: z.int().min(1).max(1000).optional(),
  allowEmpty: z.boolean().default(false),
  reason: z.string().max(500).optional(),
  ...calendarChoiceShape,
});
export type ExecRequest = z.infer<typeof execRequestSchema>;

export const countsSchema = z.record(targetStateSchema, z.int());
const errorSchema = z.object({ code: z.string(), message: z.string(), remedy: z.string().optional() }).nullable();
export const runSummarySchema = z.object({
  id: idSchema,
  space: nameSchema,
  runbook: z.string(),
  version: z.string(),
  state: runStateSchema,
  counts: countsSchema,
  targetCount: z.int(),
  /** Assets for which the selector was neither true nor false. */
  undeterminedCount: z.int(),
  requestedBy: z.string(),
  reason: z.string().nullable(),
  schedule: z.string().nullable(),
  fireAt: nullableTime,
  error: errorSchema,
  createdAt: time,
  startedAt: nullableTime,
  endedAt: nullableTime,
  /** The step of another run that called this one; absent: nobody did. */
  calledBy: z.object({ runId: idSchema, step: stepPathSchema }).optional(),
  /** The ended run that this one takes up, or makes again; absent: none. */
  continues: z.object({ runId: idSchema, how: z.enum(['resume', 'retry']) }).optional(),
});
export type RunSummary = z.infer<typeof runSummarySchema>;
export const runStepSchema = z.object({
  step: stepPathSchema,
  attempt: z.int(),
  state: z.enum(stepStates),
  exitCode: z.int().nullable(),
  error: errorSchema,
  startedAt: time,
  endedAt: nullableTime,
  /** At the failed attempt that a target's error is of: the last line in its log of what the host wrote to stderr, at most 200 characters. */
  lastStderr: z.string().optional(),
  /** The run that made the attempt, where a resumed run has it from there. */
  carriedFrom: idSchema.optional(),
  /** What a person found of an attempt that is `unknown`. */
  resolution: z.object({ as: z.enum(['done', 'not-done']), reason: z.string(), by: z.string(), at: time }).optional(),
});
export const runTargetSchema = z.object({
  asset: z.string(),
  assetId: idSchema,
  /** From 1; absent: the run has no waves. */
  wave: z.int().optional(),
  state: targetStateSchema,
  error: errorSchema,
  /** Present while it waits for an asset that another run changes. */
  waits: assetLockWaitSchema.optional(),
  /** Present while it waits for a calendar to open. */
  closed: closedBySchema.optional(),
  /** What became of undoing its steps; absent: nothing was to be undone. */
  rollback: z.enum(['undone', 'incomplete']).optional(),
  /** Paths of the steps of `finally` that it did not come to; absent: none is left. */
  finallyLeft: z.array(z.string()).optional(),
  /** Attempts to undo a step have `#undo` behind its path. */
  steps: z.array(runStepSchema),
});
export type RunTarget = z.infer<typeof runTargetSchema>;
export const runDetailSchema = runSummarySchema.extend({
  /** Of the workflows of the worker that took the run up first, such as `1+0f3a...`; absent: none has yet. */
  engineVersion: z.string().optional(),
  /** Paths of what was undone and of what could not be; absent: there was no rollback. */
  rollback: z.object({ undone: z.array(z.string()), failed: z.array(z.string()) }).optional(),
  inputs: z.record(z.string(), z.unknown()),
  selector: z.string().nullable(),
  targetSetDigest: z.string(),
  /** Absent: the run has no waves. */
  waves: z
    .object({
      /** The one that was started last, from 1; null: none yet. */
      current: z.int().nullable(),
      items: z.array(z.object({ number: z.int(), counts: countsSchema })),
    })
    .optional(),
  /** Capacities that it holds or waits for; absent: none. */
  capacity: z.array(runCapacitySchema).optional(),
  /** How it stands to calendars; absent: it names none, waits for none and overrides none. */
  calendar: runCalendarSchema.optional(),
  /** What the runbook says a run came to, and what a run that called this one reads of it. */
  summary: z.string().nullable(),
  outputs: z.record(z.string(), z.unknown()).nullable(),
  /** Runs that its steps called, and those below them, at most 200: each before what it called itself. Absent: none. */
  subRuns: z
    .array(
      z.object({
        id: idSchema,
        /** How far below this run, from 1. */
        depth: z.int(),
        step: stepPathSchema,
        runbook: z.string(),
        state: runStateSchema,
        counts: countsSchema,
      }),
    )
    .optional(),
  /** Runs that take this one up, or make it again, oldest first; absent: none. */
  continuedBy: z
    .array(z.object({ runId: idSchema, how: z.enum(['resume', 'retry']), state: runStateSchema }))
    .optional(),
  /** Steps of control scope, with the run itself as their target. */
  controlSteps: z.array(runStepSchema),
  /** What it asks people for now, those that it called included; absent: nothing. */
  approvals: z.array(approvalSchema).optional(),
  /** What it has asked before, in the same way: who decided, when and why; the last 100, oldest first. Absent: nothing. */
  endedApprovals: z.array(approvalSchema).optional(),
  /** First page of targets by name; `targetsNext` continues it at `/runs/:id/targets`. */
  targets: z.array(runTargetSchema),
  targetsNext: z.string().nullable(),
});
export type RunDetail = z.infer<typeof runDetailSchema>;
export const listRunsQuerySchema = pageQuerySchema.extend({
  state: runStateSchema.optional(),
  runbook: nameSchema.optional(),
  /** Those that steps of other runs called, too. */
  subRuns: z.stringbool().default(false),
});
/** The payload fits the JSON Schema of the step that waits for the signal. */
export const signalRunRequestSchema = z.strictObject({ payload: z.record(z.string(), z.unknown()).default({}) });
export const cancelRunRequestSchema = z.strictObject({ reason: z.string().max(500).optional() });

export const entrySchema = z.object({
  seq: z.int(),
  at: time,
  kind: z.string(),
  asset: z.string().nullable(),
  step: z.string().nullable(),
  data: z.record(z.string(), z.unknown()),
});
export type Entry = z.infer<typeof entrySchema>;
export const logChunkSchema = z.object({
  seq: z.int(),
  at: time,
  asset: z.string(),
  step: z.string(),
  attempt: z.int(),
  stream: z.enum(['stdout', 'stderr', 'note']),
  line: z.int(),
  body: z.string(),
});
export type RunLogChunk = z.infer<typeof logChunkSchema>;
/** `GET /runs/:id/events?after=SEQ` (SSE): events `entry`, `log` (with `?logs=true`) and, at the end, `end`; ids are `seq`. */
export const followQuerySchema = z.object({
  after: z.coerce.number().int().min(0).default(0),
  logs: z.stringbool().default(false),
});
export const logsQuerySchema = z.object({
  after: z.coerce.number().int().min(0).default(0),
  limit: z.coerce.number().int().min(1).max(PAGE_LIMIT).default(500),
  asset: assetNameSchema.optional(),
  step: stepPathSchema.optional(),
});

// ---- schedules ----
export const scheduleSchema = z.object({
  space: nameSchema,
  name: nameSchema,
  runbook: nameSchema,
  /** Null where the schedule is no cron expression: `when` has every kind's text. */
  cron: z.string().nullable(),
  when: z.string(),
  timeZone: z.string(),
  paused: z.object({ since: time, until: nullableTime.default(null), by: z.string(), reason: z.string() }).nullable(),
  /** Fires that wait: in the queue behind another run, or for a calendar to open. */
  waiting: z.int().default(0),
  quarantineReason: z.string().nullable(),
  nextFires: z.array(z.object({ at: time, local: z.string(), note: z.string() })),
  lastFires: z.array(fireSchema),
});
export type Schedule = z.infer<typeof scheduleSchema>;
/** A run, or the fire that waits for its turn or its calendar. */
export const triggerResultSchema = z.union([runSummarySchema, z.object({ waiting: fireSchema })]);
export type TriggerResult = z.infer<typeof triggerResultSchema>;

// ---- principals and tokens ----
export const createPrincipalRequestSchema = z.strictObject({
  name: nameSchema,
  kind: z.enum(['person', 'service']).default('person'),
  bindings: z
    .array(z.strictObject({ role: z.enum(roles), space, selector: selectorSchema.nullable().default(null) }))
    .min(1)
    .max(50),
});
export type CreatePrincipalRequest = z.infer<typeof createPrincipalRequestSchema>;
export const principalSchema = z.object({
  id: idSchema,
  name: nameSchema,
  kind: z.enum(['person', 'service']),
  bindings: z.array(z.object({ role: z.enum(roles), space: nameSchema, selector: z.string().nullable() })),
  createdAt: time,
  revokedAt: nullableTime,
});
export type Principal = z.infer<typeof principalSchema>;
export const createTokenRequestSchema = z.strictObject({
  principal: nameSchema,
  name: z.string().min(1).max(100),
  expiresAt: time.optional(),
});
export const tokenSchema = z.object({
  id: z.string(),
  principal: z.string(),
  name: z.string(),
  createdAt: time,
  expiresAt: nullableTime,
  lastUsedAt: nullableTime,
  revokedAt: nullableTime,
});
export type Token = z.infer<typeof tokenSchema>;
/** The token in clear is shown this once. */
export const createdTokenSchema = tokenSchema.extend({ token: z.string() });

// ---- audit ----
export const auditRecordSchema = z.object({
  id: idSchema,
  at: time,
  /** Null until the sealer has given it its place, within about a second. */
  position: z.int().nullable(),
  space: z.string().nullable(),
  principal: z.string(),
  action: z.string(),
  object: z.object({ kind: z.string(), name: z.string() }),
  detail: z.record(z.string(), z.unknown()),
});
export type AuditRecordView = z.infer<typeof auditRecordSchema>;
