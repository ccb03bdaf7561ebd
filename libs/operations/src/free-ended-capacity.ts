import { FettleError, notFoundError, type RunSummary } from '@fettle/contracts';
import { findRunRow, freeRun, listFreeableRuns, type Transaction } from '@fettle/database';
import type { OperationContext } from './context.js';
import { recordAudit } from './record-audit.js';
import { runSummary } from './run-view.js';
import { requireRunInScope } from './select-targets.js';

/** Runs that have ended and whose capacity nothing on a host can need any more. */
export async function findFreeableRuns(transaction: Transaction, limit: number): Promise<string[]> {
  return listFreeableRuns(transaction, limit);
}

export async function freeEndedRun(transaction: Transaction, runId: string): Promise<void> {
  await freeRun(transaction, runId);
}

/**
 * A person says that nothing of an ended run is at work any more: what was kept for it is given back now.
 * @throws FettleError `not-found`, `denied`, `conflict` where the run goes on
 */
export async function freeCapacityOfRun(
  context: OperationContext,
  runId: string,
  request: { readonly reason: string },
): Promise<RunSummary> {
  const { transaction } = context;
  const run = await findRunRow(transaction, runId);
  if (!run) throw notFoundError('run', runId, { remedy: 'See `fettle run list`.' });
  await requireRunInScope(context, 'run:cancel', run);
  if (run.endedAt === null) {
    throw new FettleError({
      code: 'conflict',
      message: `Run ${runId} is ${run.state}; it gives back what it holds by itself.`,
      remedy: `Cancel it with: fettle run cancel ${runId}`,
    });
  }
  await freeRun(transaction, runId);
  await recordAudit(context, {
    action: 'capacity.free',
    space: run.space,
    object: { kind: 'run', name: runId, id: runId },
    detail: { reason: request.reason },
  });
  return runSummary(run);
}
