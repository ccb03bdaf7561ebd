import { FettleError, type Plan, type PlanDifference } from '@fettle/contracts';
import { findPlan, listTargetIds, savePlan } from '@fettle/database';
import { diffPlans } from '@fettle/runbook/source';
import type { OperationContext } from './context.js';
import { makePlan, type PlanSubject } from './make-plan.js';

/** Larger plans are shown and not kept: a drift from one is told by its digest only. */
const MAX_KEPT_BYTES = 16 * 1024 * 1024;

/** Keeps a plan by its digest, so that a drift from it can be told in full. */
export async function keepPlan({ transaction, actor }: OperationContext, plan: Plan): Promise<Plan> {
  if (JSON.stringify(plan).length > MAX_KEPT_BYTES) return plan;
  const { space, name } = plan.runbook;
  await savePlan(transaction, { space, digest: plan.digest, runbook: name, body: plan, createdBy: actor.name });
  return plan;
}

/** The plan of a run whose targets are resolved: of these, and not of what its selector would match now. */
export async function planOfRun(
  context: OperationContext,
  runId: string,
  subject: Omit<PlanSubject, 'targetIds' | 'undetermined'>,
): Promise<Plan> {
  const targetIds = await listTargetIds(context.transaction, runId, null, MAX_TARGET_IDS);
  return makePlan(context, { ...subject, targetIds, undetermined: 0 });
}

/** More than any plan takes, so that one of too many is refused by the plan itself. */
const MAX_TARGET_IDS = 200_001;

/**
 * Refuses to go on unless what the run would do now is the plan of that digest.
 * @throws FettleError `plan-drift` with what differs in `detail.differences`
 */
export async function requirePlanned(
  context: OperationContext,
  runId: string,
  digest: string,
  subject: Omit<PlanSubject, 'targetIds' | 'undetermined'>,
): Promise<Plan> {
  const plan = await planOfRun(context, runId, subject);
  if (plan.digest === digest) return keepPlan(context, plan);
  const differences = await differencesFrom(context, digest, plan);
  const many = differences === null ? '' : `: ${differences.length} difference${differences.length === 1 ? '' : 's'}`;
  throw new FettleError({
    code: 'plan-drift',
    message: `What runbook "${subject.runbook}" would do now is not the plan ${digest}${many}.`,
    remedy: 'Look at what has changed with `fettle plan`, and start with the digest of that plan.',
    detail: { planned: digest, now: plan.digest, ...(differences === null ? {} : { differences }) },
  });
}

/** Null: the plan is not kept, is of another runbook, or is somebody else's who may see more. */
async function differencesFrom(
  context: OperationContext,
  digest: string,
  now: Plan,
): Promise<readonly PlanDifference[] | null> {
  const { space, name } = now.runbook;
  const stored = await findPlan(context.transaction, space, digest);
  if (stored === null || stored.runbook !== name) return null;
  const seesAll = context.scopeOf('run:start', space) === null;
  return seesAll || stored.createdBy === context.actor.name ? diffPlans(stored.body as Plan, now) : null;
}
