import { approvalDetailSchema } from '@fettle/contracts';
import { EXIT } from '../../session/exit-codes.js';
import type { ApiOptions, Session } from '../../session/session.js';
import { planText } from '../plan/plan-text.js';
import { differencesText } from '../plan/tell-drift.js';
import { approvalFields, requireApprovalId } from './approval-text.js';

export async function showApproval(
  session: Session,
  idText: string,
  options: ApiOptions & { readonly full?: boolean },
): Promise<number> {
  const { output } = session;
  const id = requireApprovalId(idText);
  const approval = await session.connect(options).get(`/api/v1/approvals/${id}`, approvalDetailSchema);
  output.data(options.output, approval, () => {
    const { runId, runbook, space, requestedBy, targetCount, plan, differences, mayDecide, whyNot } = approval;
    const head = output.fields([
      ...approvalFields(approval),
      ['run', `${runId} of ${runbook} in ${space}, requested by ${requestedBy}, ${targetCount} targets`],
      ['you', mayDecide ? 'may decide' : whyNot],
    ]);
    const drift = differences === null ? '' : `\n${differencesText(differences, output.colours)}`;
    const body =
      plan === null
        ? 'The plan is too large to be shown; see: fettle run show\n'
        : planText(plan, output, { full: options.full ?? false });
    return `${head}${drift}\n${body}`;
  });
  if (options.output === 'table' && approval.mayDecide) {
    output.note(`fettle approval approve ${id} --plan-digest ${approval.planDigest}`);
    output.note(`fettle approval reject ${id} --reason TEXT`);
  }
  return EXIT.ok;
}
