import { z } from 'zod';
import { idSchema } from './ids.js';

export const historyStates = ['archived', 'too-large', 'missing'] as const;
export type HistoryState = (typeof historyStates)[number];

/** Larger ones, compressed, are not kept: their digest, size and the reason are. */
export const MAX_ARCHIVED_HISTORY_BYTES = 16 * 2 ** 20;
/** Uncompressed; Temporal ends an execution at 50 MB, of which the JSON makes more. */
export const MAX_HISTORY_BYTES = 150 * 2 ** 20;

/** Compressed, of all executions of a run together: the newest ones are kept first. */
export const MAX_RUN_HISTORY_BYTES = 32 * 2 ** 20;

/** One execution of a run's workflow, as it was archived. */
export const archivedExecutionSchema = z.object({
  /** From 1, oldest first. */
  number: z.int(),
  workflowId: z.string(),
  /** Temporal's id of the execution; null where Temporal no longer knew it. */
  workflowRunId: z.string().nullable(),
  state: z.enum(historyStates),
  /** Why there is nothing of it; null where it is archived. */
  reason: z.string().nullable(),
  events: z.int().nullable(),
  /** Of the JSON. */
  bytes: z.int().nullable(),
  /** Of the JSON, in hex. */
  sha256: z.string().nullable(),
  /** Id of the audit record that has the digest. */
  auditRecord: idSchema,
  archivedAt: z.iso.datetime(),
});
export type ArchivedExecution = z.infer<typeof archivedExecutionSchema>;

export const runHistorySchema = z.object({
  runId: idSchema,
  /** Of the worker that took the run up first; null: none has, or that was before versions were kept. */
  engineVersion: z.string().nullable(),
  /** `open`: it has not ended. `pending`: it has, and is about to be archived. `incomplete`: of some of it there is nothing. `dropped`: it was archived, and removed since. */
  state: z.enum(['open', 'pending', 'archived', 'incomplete', 'dropped']),
  executions: z.array(archivedExecutionSchema),
  /** The digest that each audit record has of what was archived with it, and whether what is stored still fits. */
  audit: z.array(z.object({ record: idSchema, sha256: z.string(), fits: z.boolean() })),
});
export type RunHistoryView = z.infer<typeof runHistorySchema>;

/** `data`: the JSON, compressed (gzip), in base64. */
export const historyDataSchema = archivedExecutionSchema.extend({ data: z.string() });
export type HistoryData = z.infer<typeof historyDataSchema>;

export const historyParamSchema = z.object({ id: idSchema, number: z.coerce.number().int().min(1).max(1_000_000) });
