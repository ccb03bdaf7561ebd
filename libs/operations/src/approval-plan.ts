import { FettleError, runbookDocumentSchema, type Plan, type PlanDifference } from '@fettle/contracts';
import { findPlan, findPlannedRun, type ApprovalRow } from '@fettle/database';
import { diffPlans } from '@fettle/runbook/source';
import type { OperationContext } from './context.js';
import { planOfRun } from './require-planned.js';

/**
 * What a run does, from its first step to its last, by the very code behind `fettle plan`: of its own version, inputs and targets,
 * with the versions of called runbooks that were fixed when it started. What differs from an earlier plan of the same run is what
 * has changed around it.
 * @throws FettleError as `planProgram`, and `denied` where a called runbook reaches beyond the actor's assets
 */
export async function planApproved(context: OperationContext, runId: string): Promise<Plan> {
  const run = await findPlannedRun(context.transaction, runId);
  const parsed = runbookDocumentSchema.safeParse(run?.document);
  if (run === null || !parsed.success) {
    throw new FettleError({
      code: 'invalid-document',
      message: `The stored runbook of run ${runId} does not fit this version of Fettle.`,
    });
  }
  const { space, runbook, version, inputs, closure } = run;
  const { spec } = parsed.data;
  return planOfRun(context, runId, { space, runbook, version, spec, inputs, closure, permission: 'run:start' });
}

/** What differs from the plan that is asked about; null: nothing. */
export async function driftOf(
  { transaction }: OperationContext,
  approval: Pick<ApprovalRow, 'space' | 'planDigest'>,
  now: Plan,
): Promise<readonly PlanDifference[] | null> {
  const { space, planDigest } = approval;
  if (now.digest === planDigest) return null;
  const stored = await findPlan(transaction, space, planDigest);
  if (stored !== null) return diffPlans(stored.body as Plan, now);
  return [{ kind: 'step', subject: 'the plan, which was too large to be kept', before: planDigest, after: now.digest }];
}

const MAX_TOLD = 5;
const MAX_MESSAGE_CHARS = 1800;

/** Differences as one sentence of an error: the first ones in full, the rest counted. */
export function driftMessage(differences: readonly PlanDifference[]): string {
  const told = differences.slice(0, MAX_TOLD).map(({ kind, subject, before, after, targets = [], targetCount = 0 }) => {
    const on = targetCount === 0 ? '' : ` (${targets.slice(0, 3).join(', ')}${targetCount > 3 ? ', ...' : ''})`;
    const what = kind === 'target' ? subject : `${kind} ${subject}`;
    return `${what}${on}: ${short(before)} -> ${short(after)}`;
  });
  const rest = differences.length - told.length;
  const more = rest > 0 ? `; and ${rest} more` : '';
  return `What would be done is not what was asked about any more: ${told.join('; ')}${more}.`.slice(
    0,
    MAX_MESSAGE_CHARS,
  );
}

function short(text: string | null): string {
  if (text === null) return 'nothing';
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
