import { FettleError, notFoundError, type RunSummary } from '@fettle/contracts';
import {
  endRun,
  enqueueCommand,
  findRunRow,
  notifyRun,
  requestCancel,
  type RunRow,
  type Transaction,
} from '@fettle/database';
import { systemContext, type OperationContext } from './context.js';
import { recordAudit } from './record-audit.js';
import { runSummary } from './run-view.js';
import { requireRunInScope } from './select-targets.js';

/**
 * Asks for the end of a run: lanes stop claiming at once, commands in flight are ended on their hosts. A run that nobody has
 * taken up yet ends here. Asking twice is the same as once.
 * @throws FettleError `not-found`, `run-ended`
 */
export async function cancelRun(
  context: OperationContext,
  runId: string,
  request: { readonly reason?: string | undefined },
): Promise<RunSummary> {
  const { transaction } = context;
  const before = await findRunRow(transaction, runId);
  if (!before) throw notFoundError('run', runId, { remedy: 'See `fettle run list`.' });
  await requireRunInScope(context, 'run:cancel', before);
  const { ended } = await requestEnd(context, before, request.reason ?? null);
  if (ended)
    throw new FettleError({ code: 'run-ended', message: `Run ${runId} has already ended as ${before.state}.` });
  return runSummary((await findRunRow(transaction, runId))!);
}

/** The same for a run that a step called, in the name of the system; one that has ended, or was asked before, stays as it is. */
export async function cancelSubRun(transaction: Transaction, runId: string, reason: string): Promise<void> {
  const run = await findRunRow(transaction, runId);
  if (run === null || run.endedAt !== null) return;
  await requestEnd(systemContext(transaction, runId), run, reason.slice(0, 500));
}

async function requestEnd(
  context: OperationContext,
  { id: runId, space, endedAt }: RunRow,
  reason: string | null,
): Promise<{ readonly ended: boolean }> {
  const { transaction, actor } = context;
  const { state, workflowId, marked } = await requestCancel(transaction, runId, actor.name, reason);
  if (endedAt !== null) return { ended: true };
  if (!marked) return { ended: false };
  if (state === 'queued') {
    await endRun(transaction, runId, 'cancelled', {
      code: 'cancelled',
      message: `Cancelled by ${actor.name} before it started.`,
    });
  }
  await enqueueCommand(transaction, { kind: 'cancel-run', subject: workflowId, payload: { runId } });
  await recordAudit(context, {
    action: 'run.cancel',
    space,
    object: { kind: 'run', name: runId, id: runId },
    detail: { reason },
  });
  await notifyRun(transaction, runId);
  return { ended: false };
}
