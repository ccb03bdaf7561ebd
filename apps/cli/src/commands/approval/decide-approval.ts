import { approvalSchema, FettleError, type Approval } from '@fettle/contracts';
import { EXIT } from '../../session/exit-codes.js';
import type { ApiOptions, Session } from '../../session/session.js';
import { differencesText } from '../plan/tell-drift.js';
import { progressText, requireApprovalId } from './approval-text.js';

interface ApproveOptions extends ApiOptions {
  readonly reason?: string;
  readonly planDigest?: string;
}

/** It plans the whole run anew. */
const TIMEOUT_MS = 300_000;

export function approve(session: Session, id: string, options: ApproveOptions): Promise<number> {
  const { reason, planDigest } = options;
  const body = { ...(reason === undefined ? {} : { reason }), ...(planDigest === undefined ? {} : { planDigest }) };
  return decide(session, id, 'approve', options, body);
}

export function reject(
  session: Session,
  id: string,
  options: ApiOptions & { readonly reason: string },
): Promise<number> {
  return decide(session, id, 'reject', options, { reason: options.reason });
}

async function decide(
  session: Session,
  idText: string,
  verb: 'approve' | 'reject',
  options: ApiOptions,
  body: Readonly<Record<string, string>>,
): Promise<number> {
  const { output } = session;
  const id = requireApprovalId(idText);
  const client = session.connect(options);
  const request = { body, timeoutMs: TIMEOUT_MS };
  const approval = await client.post(`/api/v1/approvals/${id}/${verb}`, approvalSchema, request);
  if (options.output !== 'table') output.data(options.output, approval, () => '');
  if (approval.state === 'drifted') {
    session.host.stderr.write(differencesText(approval.differences ?? [], output.errorColours));
    throw new FettleError({
      code: 'plan-drift',
      message: 'What would be done is not what was asked about any more, so that this approval is void.',
      remedy: `See what became of the run: fettle run show ${approval.runId}`,
    });
  }
  if (options.output === 'table') output.note(outcomeText(approval));
  return EXIT.ok;
}

function outcomeText(approval: Approval): string {
  const { state, runId } = approval;
  if (state === 'open') return `Approved: ${progressText(approval)}.`;
  if (state === 'rejected') return `Rejected; the step of run ${runId} fails.`;
  return `Approved; run ${runId} goes on.`;
}
