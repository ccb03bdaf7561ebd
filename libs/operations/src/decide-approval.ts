import { FettleError, notFoundError, type Approval } from '@fettle/contracts';
import {
  appendEntries,
  endApproval,
  findApproval,
  findPrincipalById,
  findRunRow,
  insertDecision,
  lockRun,
  notifyRun,
  saveLockedRun,
  wakeRun,
  type ApprovalRow,
  type RunRow,
} from '@fettle/database';
import { mayApprove } from '@fettle/security';
import { driftOf, planApproved } from './approval-plan.js';
import { approvalView } from './approval-view.js';
import { noteDrift } from './ask-approval.js';
import type { OperationContext } from './context.js';
import { recordAudit } from './record-audit.js';
import { requireRunInScope } from './select-targets.js';

export type DecisionRequest =
  | { readonly decision: 'approve'; readonly reason?: string | undefined; readonly planDigest?: string | undefined }
  | { readonly decision: 'reject'; readonly reason: string };

/**
 * Says yes or no to what a run asks. One no ends it; the yes that makes the quorum holds the plan against what would be done now, and
 * where it drifted the approval is void, which the answer tells by its state. Deciders take turns by the run's lock.
 * @throws FettleError `not-found`, `denied`, `approval-closed`, `approval-expired`, `already-decided`, `plan-drift`
 */
export async function decideApproval(
  context: OperationContext,
  approvalId: string,
  request: DecisionRequest,
): Promise<Approval> {
  const { transaction } = context;
  const asked = await requireApproval(context, approvalId);
  const run = (await findRunRow(transaction, asked.runId))!;
  const approver = await approverContext(context, asked, run);
  if (request.decision === 'approve' && request.planDigest !== undefined && request.planDigest !== asked.planDigest) {
    throw new FettleError({
      code: 'plan-drift',
      message: `This approval is about another plan than the one you looked at: ${asked.planDigest}.`,
      remedy: `Look at it again: fettle approval show ${approvalId}`,
    });
  }
  requireOpen(asked);
  // Before any lock: it may take a while.
  const plan = request.decision === 'approve' ? await planApproved(approver, asked.runId) : null;
  const locked = await lockRun(transaction, asked.runId);
  requireOpen(await requireApproval(context, approvalId));
  const { decision, reason = null } = request;
  const { runId, path, space, round, planDigest } = asked;
  const principalId = context.actor.principalId!;
  if (!(await insertDecision(transaction, { approvalId, principalId, decision, reason }))) {
    throw new FettleError({ code: 'already-decided', message: 'You have approved it already.' });
  }
  const data = { approvalId, round, decision, by: context.actor.name, reason };
  await appendEntries(transaction, locked, [{ kind: 'approval-decided', step: path, data }]);
  await saveLockedRun(transaction, locked);
  await recordAudit(context, {
    action: `approval.${decision}`,
    space,
    object: { kind: 'approval', name: `${runId}/${path}`, id: approvalId },
    detail: { runId, step: path, round, planDigest, reason },
  });
  const drift = plan === null ? null : await driftOf(approver, asked, plan);
  const now = (await findApproval(transaction, approvalId))!;
  if (drift !== null) await noteDrift(context, now, drift);
  else if (decision === 'reject') await endApproval(transaction, approvalId, 'rejected');
  else if (now.approvals >= now.rule.quorum) await endApproval(transaction, approvalId, 'approved');
  const after = (await findApproval(transaction, approvalId))!;
  if (after.state !== 'open') await wakeRun(transaction, runId, path);
  await notifyRun(transaction, runId);
  return approvalView(after);
}

/** @throws FettleError `not-found`, or `denied` where the actor may not read the run */
export async function requireApproval(context: OperationContext, id: string): Promise<ApprovalRow> {
  const row = await findApproval(context.transaction, id);
  if (row === null) throw notFoundError('approval', id, { remedy: 'See `fettle approval list`.' });
  await requireRunInScope(context, 'run:read', { ...row, id: row.runId });
  return row;
}

/**
 * The context in which somebody decides: with his rights as they are now, as far as they let him decide this.
 * @throws FettleError `denied`, with the reason
 */
export async function approverContext(
  context: OperationContext,
  approval: ApprovalRow,
  run: Pick<RunRow, 'id' | 'space' | 'targetCount'>,
): Promise<OperationContext> {
  const { principalId } = context.actor;
  const principal = principalId === null ? null : await findPrincipalById(context.transaction, principalId);
  if (principal === null || principal.revokedAt !== null) throw denied('Only a principal that is not revoked decides.');
  const { rule, isEscalated, excluded, space } = approval;
  const approvers = isEscalated && rule.escalate !== undefined ? [rule, rule.escalate] : [rule];
  const decision = mayApprove({ principal, space, approvers, excluded });
  if (!decision.allowed) throw denied(`You may not decide this: ${decision.why}.`);
  const approver: OperationContext = { ...context, scopeOf: () => decision.selectors };
  try {
    await requireRunInScope(approver, 'run:start', run);
  } catch (error) {
    if (!(error instanceof FettleError) || error.code !== 'denied') throw error;
    throw denied("You may not decide this: your role does not reach all of the run's targets.");
  }
  return approver;
}

function denied(message: string): FettleError {
  return new FettleError({ code: 'denied', message, remedy: 'See who may decide with `fettle approval show`.' });
}

function requireOpen({ id, state, expiresAt }: ApprovalRow): void {
  if (state === 'open') return;
  if (state === 'expired') {
    throw new FettleError({
      code: 'approval-expired',
      message: `Its time was over at ${expiresAt.toISOString()}; nobody can approve it any more.`,
    });
  }
  throw new FettleError({
    code: 'approval-closed',
    message: `This approval is ${state} already.`,
    remedy: `See what became of it: fettle approval show ${id}`,
  });
}
