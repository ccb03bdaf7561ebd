import { z } from 'zod';
import { planDifferenceSchema } from './api-plan-difference.js';
import { planDigestSchema, planSchema } from './api-plan.js';
import { idSchema } from './ids.js';

/** What became of one round in which a run asks people; `drifted`: what would be done is not what was asked about any more. */
export const approvalStates = ['open', 'approved', 'rejected', 'expired', 'drifted', 'cancelled'] as const;
export type ApprovalState = (typeof approvalStates)[number];

const time = z.string();
const approversSchema = z.object({ roles: z.array(z.string()), principals: z.array(z.string()) });

export const approvalSchema = z.object({
  id: idSchema,
  runId: idSchema,
  space: z.string(),
  runbook: z.string(),
  /** Path of the step that asks. */
  step: z.string(),
  /** From 1: how often it has asked. */
  round: z.int(),
  state: z.enum(approvalStates),
  message: z.string().nullable(),
  /** Whoever has one of the roles on all of the run's targets, or is named. */
  approvers: approversSchema,
  /** Who may decide as well from `at` on; null: nobody else. */
  escalation: approversSchema.extend({ at: time, isReached: z.boolean() }).nullable(),
  quorum: z.int(),
  /** People who have approved and still count. */
  approvals: z.int(),
  /** Who may not decide although he might otherwise, and why: the run is his. */
  excluded: z.array(z.object({ principal: z.string(), why: z.string() })),
  decisions: z.array(
    z.object({
      principal: z.string(),
      decision: z.enum(['approve', 'reject']),
      reason: z.string().nullable(),
      at: time,
    }),
  ),
  /** Of the plan that is approved. */
  planDigest: planDigestSchema,
  /** Where it drifted: what differs, at most 200. */
  differences: z.array(planDifferenceSchema).nullable(),
  requestedBy: z.string(),
  targetCount: z.int(),
  askedAt: time,
  expiresAt: time,
  endedAt: time.nullable(),
});
export type Approval = z.infer<typeof approvalSchema>;

export const approvalDetailSchema = approvalSchema.extend({
  /** What would be done; null: the plan was too large to be kept, only its digest is. */
  plan: planSchema.nullable(),
  /** Whether whoever asks may decide now, and if not, why. */
  mayDecide: z.boolean(),
  whyNot: z.string().nullable(),
});
export type ApprovalDetail = z.infer<typeof approvalDetailSchema>;

const reason = z.string().trim().min(1).max(500);
export const approveRequestSchema = z.strictObject({
  reason: reason.optional(),
  /** Of the plan that was looked at; refused where another one is asked about. */
  planDigest: planDigestSchema.optional(),
});
export type ApproveRequest = z.infer<typeof approveRequestSchema>;
export const rejectRequestSchema = z.strictObject({ reason });
export type RejectRequest = z.infer<typeof rejectRequestSchema>;
