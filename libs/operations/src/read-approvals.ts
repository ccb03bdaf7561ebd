import {
  FettleError,
  type Approval,
  type ApprovalDetail,
  type ListApprovalsQuery,
  type Page,
  type Plan,
} from '@fettle/contracts';
import {
  APPROVAL_CONDITION_FIRST_PARAMETER,
  findPlan,
  findRunRow,
  listApprovalRows,
  type ApprovalRow,
} from '@fettle/database';
import { approvalView } from './approval-view.js';
import { assetCondition } from './asset-scope.js';
import type { OperationContext } from './context.js';
import { decodeCursor, pageFrom } from './cursor.js';
import { approverContext, requireApproval } from './decide-approval.js';

/** Approvals of runs that the actor may read, newest first. */
export async function listApprovals(context: OperationContext, query: ListApprovalsQuery): Promise<Page<Approval>> {
  const cursor = decodeCursor(query.after, ['uuid']);
  const allowed = context.scopeOf('run:read', query.space);
  const rows = await listApprovalRows(context.transaction, {
    space: query.space,
    before: cursor?.[0] ?? null,
    limit: query.limit + 1,
    state: query.mine ? 'open' : (query.state ?? null),
    runId: query.runId ?? null,
    targetsWithin: assetCondition(null, allowed, APPROVAL_CONDITION_FIRST_PARAMETER),
  });
  const page = pageFrom(
    rows,
    query.limit,
    (row) => row,
    (row) => [row.id],
  );
  const items: Approval[] = [];
  for (const row of page.items) {
    // A page of one's own may be shorter than it was asked for; `next` goes on behind what was looked at.
    if (!query.mine || (await whyNot(context, row)) === null) items.push(approvalView(row));
  }
  return { items, next: page.next };
}

/** @throws FettleError `not-found`, `denied` */
export async function getApproval(context: OperationContext, id: string): Promise<ApprovalDetail> {
  const row = await requireApproval(context, id);
  const stored = await findPlan(context.transaction, row.space, row.planDigest);
  const why = await whyNot(context, row);
  return {
    ...approvalView(row),
    plan: stored === null ? null : (stored.body as Plan),
    mayDecide: why === null,
    whyNot: why,
  };
}

/** Null: the actor may decide it now. */
async function whyNot(context: OperationContext, row: ApprovalRow): Promise<string | null> {
  if (row.state !== 'open') return `It is ${row.state}.`;
  const { name } = context.actor;
  if (row.decisions.some(({ principal, decision }) => principal === name && decision === 'approve')) {
    return 'You have approved it; you may still reject it.';
  }
  try {
    const run = await findRunRow(context.transaction, row.runId);
    if (run === null) return 'Its run is gone.';
    await approverContext(context, row, run);
    return null;
  } catch (error) {
    if (error instanceof FettleError && error.code === 'denied') return error.message;
    throw error;
  }
}
