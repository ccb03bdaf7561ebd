import type { Approval } from '@fettle/contracts';
import type { ApprovalRow } from '@fettle/database';

export function approvalView(row: ApprovalRow): Approval {
  const { roles, principals, quorum, escalate } = row.rule;
  return {
    ...{ id: row.id, runId: row.runId, space: row.space, runbook: row.runbook, step: row.path, round: row.round },
    ...{ state: row.state, message: row.message, quorum, approvals: row.approvals },
    approvers: { roles, principals },
    escalation:
      escalate === undefined || row.escalatesAt === null
        ? null
        : {
            ...{ roles: escalate.roles, principals: escalate.principals },
            ...{ at: row.escalatesAt.toISOString(), isReached: row.isEscalated },
          },
    excluded: row.excluded.map(({ name, why }) => ({ principal: name, why })),
    decisions: [...row.decisions],
    planDigest: row.planDigest,
    differences: row.differences === null ? null : [...row.differences],
    requestedBy: row.requestedBy,
    targetCount: row.targetCount,
    askedAt: row.askedAt.toISOString(),
    expiresAt: row.expiresAt.toISOString(),
    endedAt: row.endedAt?.toISOString() ?? null,
  };
}
