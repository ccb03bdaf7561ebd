import {
  FettleError,
  notFoundError,
  type Page,
  type PageQuery,
  type Plan,
  type PlanCheck,
  type PlanCheckResult,
  type PlanRequestBody,
} from '@fettle/contracts';
import { enqueueCommand, findPlanCheck, insertPlanCheck, listCheckResults, type PlanCheckRow } from '@fettle/database';
import { uuidv7 } from 'uuidv7';
import type { OperationContext } from './context.js';
import { decodeCursor, pageFrom } from './cursor.js';
import { planSubject } from './plan-run.js';
import { recordAudit } from './record-audit.js';

/** A check that has not ended by then was lost: no worker is at it any more, whatever its row says. */
const LOST_AFTER_MS = 70 * 60_000;

/**
 * Plans, and asks a worker to look on the targets what of it would change something. Needs what a start needs, because commands of
 * the runbook's author (the probes of its steps) are executed on the targets.
 * @throws FettleError as `planRun`
 */
export async function requestPlanCheck(
  context: OperationContext,
  request: PlanRequestBody,
): Promise<{ readonly plan: Plan; readonly check: PlanCheck }> {
  const { transaction, actor } = context;
  const { plan, subject } = await planSubject(context, request);
  const { space, runbook } = subject;
  const id = uuidv7();
  const { principalId } = actor;
  await insertPlanCheck(transaction, { id, space, runbook, planDigest: plan.digest, subject, principalId });
  await enqueueCommand(transaction, { kind: 'check-plan', subject: `check-${id}`, payload: { checkId: id } });
  await recordAudit(context, {
    action: 'plan.check',
    space,
    object: { kind: 'plan-check', name: runbook, id },
    detail: { planDigest: plan.digest, targets: plan.targets.count, targetSetDigest: plan.targets.digest },
  });
  return { plan, check: await getPlanCheck(context, { space, id }) };
}

/** @throws FettleError `not-found`, also for a check of somebody else who may see more */
export async function getPlanCheck(
  context: OperationContext,
  key: { readonly space: string; readonly id: string },
): Promise<PlanCheck> {
  return viewOf(await requireCheck(context, key));
}

/** What was found so far, in the order of the plan. */
export async function listPlanCheckResults(
  context: OperationContext,
  key: { readonly space: string; readonly id: string },
  query: Pick<PageQuery, 'limit' | 'after'>,
): Promise<Page<PlanCheckResult>> {
  const { id } = await requireCheck(context, key);
  const cursor = decodeCursor(query.after, ['number']);
  const rows = await listCheckResults(context.transaction, id, cursor?.[0] ?? -1, query.limit + 1);
  return pageFrom(
    rows,
    query.limit,
    ({ position: _position, ...result }) => result,
    ({ position }) => [position],
  );
}

async function requireCheck(
  context: OperationContext,
  { space, id }: { readonly space: string; readonly id: string },
): Promise<PlanCheckRow> {
  const row = await findPlanCheck(context.transaction, id);
  const seesAll = context.scopeOf('run:start', space) === null;
  if (row?.space === space && (seesAll || row.principalId === context.actor.principalId)) return row;
  throw notFoundError('plan-check', id, { space, remedy: 'A check is kept for 7 days; ask for another one.' });
}

function viewOf(row: PlanCheckRow): PlanCheck {
  const { id, space, runbook, planDigest, total, counts, createdAt, endedAt } = row;
  const isLost = endedAt === null && Date.now() - createdAt.getTime() > LOST_AFTER_MS;
  const lost = { code: 'unavailable', message: 'No worker ended the check.', remedy: 'Ask for another one.' };
  return {
    id,
    space,
    runbook,
    planDigest,
    state: isLost ? 'failed' : row.state,
    error: isLost ? lost : row.error,
    total,
    counts: { 'would-change': 0, 'no-change': 0, 'cannot-tell': 0, unreachable: 0, ...counts },
    createdAt: createdAt.toISOString(),
    endedAt: endedAt?.toISOString() ?? null,
  };
}

/** What a plan that was made again is not: the one that was asked for. */
export function checkDrift(planned: string, now: string): FettleError {
  return new FettleError({
    code: 'plan-drift',
    message: `What the run would do now is not the plan ${planned} that was to be checked.`,
    remedy: 'Plan again, and check that.',
    detail: { planned, now },
  });
}
