import { z } from 'zod';
import { pageOf } from './api.js';
import { idSchema, nameSchema } from './ids.js';

/**
 * A check of a plan: a worker asks the read-only probes of its steps on its targets. `POST /api/v1/plan-checks` starts one with the
 * request of a plan, `GET /api/v1/plan-checks/:id` says how far it is, `GET /api/v1/plan-checks/:id/results` what was found.
 */
export const checkResults = ['would-change', 'no-change', 'cannot-tell', 'unreachable'] as const;
export type CheckResult = (typeof checkResults)[number];

export const planCheckResultSchema = z.object({
  /** Path of the step in the plan. */
  path: z.string(),
  uses: z.string(),
  /** Null: the step acts once, for the run. */
  asset: z.string().nullable(),
  result: z.enum(checkResults),
  /** What would change, or why it cannot be told. */
  summary: z.string(),
  /** Unified diff of a text that everybody on the target may read; null: none. */
  diff: z.string().nullable(),
});
export type PlanCheckResult = z.infer<typeof planCheckResultSchema>;

export const checkStates = ['waiting', 'running', 'ended', 'failed'] as const;

export const planCheckSchema = z.object({
  id: idSchema,
  space: nameSchema,
  runbook: nameSchema,
  /** Digest of the plan that it is of: what a worker would not find to be that plan is not checked. */
  planDigest: z.string(),
  /** `failed`: it did not come to its end, `error` says why; what was found until then stands. */
  state: z.enum(checkStates),
  error: z.object({ code: z.string(), message: z.string(), remedy: z.string().optional() }).nullable(),
  /** Steps on targets that are to be asked; null: no worker has counted them yet. */
  total: z.int().nullable(),
  counts: z.object({
    'would-change': z.int(),
    'no-change': z.int(),
    'cannot-tell': z.int(),
    unreachable: z.int(),
  }),
  createdAt: z.iso.datetime(),
  endedAt: z.iso.datetime().nullable(),
});
export type PlanCheck = z.infer<typeof planCheckSchema>;

export const planCheckPageSchema = pageOf(planCheckResultSchema);
export const planCheckParamSchema = z.object({ id: idSchema });
