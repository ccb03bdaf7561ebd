import { FettleError, idSchema, type Approval } from '@fettle/contracts';

/** An approval is named by its whole id. What cannot be one is not found, without asking. */
export function requireApprovalId(text: string): string {
  const id = text.toLowerCase();
  if (idSchema.safeParse(id).success) return id;
  throw new FettleError({
    code: 'not-found',
    message: `There is no approval "${text.slice(0, 80)}": an approval is named by its id.`,
    remedy: 'See `fettle approval list`.',
  });
}

/** Who may decide: `operator or admin, or bob`. */
export function whoText({ roles, principals }: Approval['approvers']): string {
  const anyRole = roles.length === 0 ? [] : [`anybody who is ${roles.join(' or ')}`];
  return [...anyRole, ...principals].join(', ') || 'nobody';
}

/** `1 of 2 by bob`. */
export function progressText({ approvals, quorum, decisions }: Approval): string {
  const names = decisions.filter(({ decision }) => decision === 'approve').map(({ principal }) => principal);
  return `${approvals} of ${quorum}${names.length === 0 ? '' : ` by ${names.join(', ')}`}`;
}

/** One line a decision: `yes  bob at 2026-11-22T08:00:00.000Z: looks right`. */
function decisionFields({ decisions }: Approval): [string, string][] {
  return decisions.map(({ principal, decision, reason, at }) => [
    decision === 'approve' ? 'yes' : 'no',
    `${principal} at ${at}${reason === null ? '' : `: ${reason}`}`,
  ]);
}

function stepText({ step, round }: Approval): string {
  return round === 1 ? step : `${step} (round ${round})`;
}

/** Of one that has ended: what was asked, and who decided what. */
export function endedApprovalFields(approval: Approval, runId: string): [string, string | null][] {
  return [
    ['approval', approval.id],
    ['state', approval.state],
    ['asked', approval.message],
    ['step', stepText(approval)],
    ['run', approval.runId === runId ? null : `${approval.runId} of ${approval.runbook}`],
    ['approved', progressText(approval)],
    ...decisionFields(approval),
    ['ended', approval.endedAt],
    ['plan', approval.planDigest],
  ];
}

/** One line a fact, for `approval show` and `run show`. */
export function approvalFields(approval: Approval): [string, string | null][] {
  const { escalation, excluded } = approval;
  const escalates =
    escalation === null
      ? null
      : `${whoText(escalation)} as well ${escalation.isReached ? 'since' : 'from'} ${escalation.at}`;
  return [
    ['approval', approval.id],
    ['state', approval.state],
    ['asks', approval.message],
    ['step', stepText(approval)],
    ['may decide', whoText(approval.approvers)],
    ['escalation', escalates],
    ['not', excluded.map(({ why }) => why).join(', ') || null],
    ['approved', progressText(approval)],
    ...decisionFields(approval),
    ['until', approval.expiresAt],
    ['plan', approval.planDigest],
  ];
}
