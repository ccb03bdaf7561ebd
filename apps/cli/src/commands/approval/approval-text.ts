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
    ['step', approval.round === 1 ? approval.step : `${approval.step} (round ${approval.round})`],
    ['may decide', whoText(approval.approvers)],
    ['escalation', escalates],
    ['not', excluded.map(({ why }) => why).join(', ') || null],
    ['approved', progressText(approval)],
    ['until', approval.expiresAt],
    ['plan', approval.planDigest],
  ];
}
