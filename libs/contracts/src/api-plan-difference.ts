import { z } from 'zod';

/** One thing that two plans do not have in common. */
export const planDifferenceSchema = z.object({
  kind: z.enum(['runbook', 'action', 'input', 'credential', 'target', 'step']),
  /** What differs: the path of a step, the name of an input, credential, action, runbook or target. */
  subject: z.string(),
  /** For a person; null: it was not there. */
  before: z.string().nullable(),
  after: z.string().nullable(),
  /** The targets it is about, where it is about some: at most 20 names. */
  targets: z.array(z.string()).optional(),
  targetCount: z.int().optional(),
});
export type PlanDifference = z.infer<typeof planDifferenceSchema>;
