import { FettleError, notFoundError, type RunSummary } from '@fettle/contracts';
import { endRun, enqueueCommand, findRunRow, notifyRun, requestCancel } from '@fettle/database';
import type { OperationContext } from './context.js';
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
  const { transaction, actor } = context;
  const before = await findRunRow(transaction, runId);
  if (!before) throw notFoundError('run', runId, { remedy: 'See `fettle run list`.' });
  await requireRunInScope(context, 'run:cancel', before);
  const { state, workflowId, marked } = await requestCancel(transaction, runId, actor.name, request.reason ?? null);
  if (before.endedAt !== null) {
    throw new FettleError({ code: 'run-ended', message: `Run ${runId} has already ended as ${before.state}.` });
  }
  if (marked) {
    if (state === 'queued') {
      await endRun(transaction, runId, 'cancelled', {
        code: 'cancelled',
        message: `Cancelled by ${actor.name} before it started.`,
      });
    }
    await enqueueCommand(transaction, { kind: 'cancel-run', subject: workflowId, payload: { runId } });
    await recordAudit(context, {
      action: 'run.cancel',
      space: before.space,
      object: { kind: 'run', name: runId, id: runId },
      detail: { reason: request.reason ?? null },
    });
    await notifyRun(transaction, runId);
  }
  return runSummary((await findRunRow(transaction, runId))!);
}
