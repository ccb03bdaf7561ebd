import { FettleError, type Plan, type PlanDifference, type PlanRequestBody } from '@fettle/contracts';
import { countUndetermined, findPlan, listTargetIds, savePlan, TARGET_CONDITION_FIRST_PARAMETER } from '@fettle/database';
import { assetColumnMap, compileSelector } from '@fettle/expression';
import { diffPlans } from '@fettle/runbook/source';
import type { OperationContext } from './context.js';
import { makePlan, requireIdsAllowed, selectIds, type PlanSubject } from './make-plan.js';
import { requireUnnarrowed } from './require-unnarrowed.js';
import { noTargets } from './select-targets.js';
import { checkedInputs, readStartable, selectorOf } from './start-run.js';

/** Larger plans are shown and not kept: a drift from one is told by its digest only. */
const MAX_KEPT_BYTES = 16 * 1024 * 1024;

/**
 * What a run of that request would do now: targets are resolved as for a start, with the same permissions, and nothing is started.
 * The plan is kept by its digest, so that what a start drifts from can be told.
 * @throws FettleError as `startRun` and `planProgram`
 */
export async function planRun(context: OperationContext, request: PlanRequestBody): Promise<Plan> {
  const { transaction } = context;
  const { space, runbook } = request;
  const permission = 'run:start' as const;
  const { spec, version } = await readStartable(context, request);
  const inputs = checkedInputs({ ...request, spec });
  const selector = selectorOf({ ...request, spec });
  const subject = { space, runbook, version, spec, inputs, permission };
  if (selector === null) {
    requireUnnarrowed(context, permission, space);
    return keep(context, await makePlan(context, { ...subject, targetIds: [], undetermined: 0 }));
  }
  const compiled = compileSelector(selector, assetColumnMap, { firstParameter: TARGET_CONDITION_FIRST_PARAMETER });
  const undetermined = await countUndetermined(transaction, space, compiled);
  const targetIds = await selectIds(context, space, selector);
  if (targetIds.length === 0 && !request.allowEmpty) throw noTargets(selector.source, space, undetermined);
  await requireIdsAllowed(context, targetIds, subject);
  return keep(context, await makePlan(context, { ...subject, targetIds, undetermined }));
}

async function keep({ transaction, actor }: OperationContext, plan: Plan): Promise<Plan> {
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
  if (plan.digest === digest) return keep(context, plan);
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
