import { z } from 'zod';
import { DEFAULT_SPACE, nameSchema } from './ids.js';
import { versionSchema } from './api-queries.js';

/** What a runbook wants to know, and what may be given: for forms, completion and people. */
export const runbookInputsQuerySchema = z.object({
  space: nameSchema.default(DEFAULT_SPACE),
  version: versionSchema.optional(),
  /** Only this input, with the names of its query that begin with `prefix`. */
  input: z.string().min(1).max(200).optional(),
  prefix: z.string().max(253).optional(),
});
export type RunbookInputsQuery = z.infer<typeof runbookInputsQuerySchema>;

export const runbookInputSchema = z.object({
  name: z.string(),
  required: z.boolean(),
  /** Takes several values. */
  list: z.boolean(),
  /** The value is the name of a credential. */
  secret: z.boolean(),
  /** JSON types; empty: any. */
  types: z.array(z.string()),
  description: z.string().nullable(),
  /** Absent: there is none. */
  default: z.unknown().optional(),
  /** Selector over assets that the values are names of. */
  query: z.string().nullable(),
  /** Values that may be given, as far as the caller may see them; null: any that fits the schema. */
  allowed: z.array(z.unknown()).nullable(),
  /** There are more than `allowed` lists. */
  more: z.boolean(),
});
export type RunbookInput = z.infer<typeof runbookInputSchema>;
export const runbookInputsSchema = z.object({ items: z.array(runbookInputSchema) });
export type RunbookInputs = z.infer<typeof runbookInputsSchema>;
