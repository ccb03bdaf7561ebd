import type { Plan, PlanRequestBody } from '@fettle/contracts';
import { countUndetermined, TARGET_CONDITION_FIRST_PARAMETER } from '@fettle/database';
import { assetColumnMap, compileSelector } from '@fettle/expression';
import type { OperationContext } from './context.js';
import { makePlan, requireIdsAllowed, selectIds, type PlanSubject } from './make-plan.js';
import { withConflicts } from './plan-conflicts.js';
import { keepPlan } from './require-planned.js';
import { requireUnnarrowed } from './require-unnarrowed.js';
import { resolveClosure } from './resolve-closure.js';
import { noTargets } from './select-targets.js';
import { withCalendars } from './run-gate.js';
import { selectorOf } from './run-selector.js';
import { checkedInputs, findRunbook, storedSpec } from './start-run.js';

/**
 * What a run of that request would do now: targets are resolved as for a start, with the same permissions, and nothing is started.
 * The plan is kept by its digest, so that what a start drifts from can be told.
 * @throws FettleError as `startRun` and `planProgram`
 */
export async function planRun(context: OperationContext, request: PlanRequestBody): Promise<Plan> {
  return (await planSubject(context, request)).plan;
}

/** The same with what the plan was made of, by which it can be made again. */
export async function planSubject(
  context: OperationContext,
  request: PlanRequestBody,
): Promise<{ readonly plan: Plan; readonly subject: PlanSubject }> {
  const { transaction } = context;
  const { space, runbook } = request;
  const permission = 'run:start' as const;
  const stored = await findRunbook(context, request);
  const spec = storedSpec(request, stored);
  const { version } = stored;
  const inputs = await checkedInputs(context, { ...request, spec });
  // A start would refuse what calls a runbook that is not there.
  await resolveClosure(transaction, space, spec);
  const selector = selectorOf({ ...request, spec });
  const subject = { space, runbook, version, spec, inputs, permission };
  if (selector === null) {
    requireUnnarrowed(context, permission, space);
    return shown(context, { ...subject, targetIds: [], undetermined: 0 });
  }
  const compiled = compileSelector(selector, assetColumnMap, { firstParameter: TARGET_CONDITION_FIRST_PARAMETER });
  const undetermined = await countUndetermined(transaction, space, compiled);
  const targetIds = await selectIds(context, space, selector);
  if (targetIds.length === 0 && !request.allowEmpty) throw noTargets(selector.source, space, undetermined);
  await requireIdsAllowed(context, targetIds, subject);
  return shown(context, { ...subject, targetIds, undetermined });
}

/** Kept without what is true at this moment only. */
async function shown(
  context: OperationContext,
  subject: PlanSubject,
): Promise<{ readonly plan: Plan; readonly subject: PlanSubject }> {
  const plan = await keepPlan(context, await makePlan(context, subject));
  const held = await withConflicts(context, plan, subject.spec.assetLock ?? 'exclusive');
  return { plan: await withCalendars(context.transaction, held, subject.spec), subject };
}
