import { FettleError, type RetryRunRequest, type RunSummary, type TargetChoice } from '@fettle/contracts';
import { insertRetriedTargets, readTargetSet, type ContinuableRun } from '@fettle/database';
import { digestOf } from '@fettle/runbook';
import type { OperationContext } from './context.js';
import {
  chosenStates,
  permissionFor,
  requireContinuable,
  requireReason,
  requireSettled,
  tellContinued,
  unsettledBelow,
} from './continue-run.js';
import { acceptRun, findAccepted, storedSpec, type StartOptions } from './start-run.js';

/**
 * Makes an ended run again from its beginning: the same version, inputs and versions of called runbooks, on those of its targets
 * that are meant. The ended run stays as it is.
 * @throws FettleError `not-found`, `denied`, `run-open`, `called-run`, `no-targets`, `unsettled-steps`, `idempotency-conflict`
 */
export async function retryRun(
  context: OperationContext,
  runId: string,
  request: RetryRunRequest,
  options: StartOptions = {},
): Promise<RunSummary> {
  const { transaction } = context;
  const run = await requireContinuable(context, runId);
  const key = { retry: runId, ...request };
  const known = await findAccepted(context, run.space, options, key);
  if (known) return known;
  requireReason(request);
  const states = chosenStates(request.targets, run);
  if (!request.rerunUnknown) {
    requireSettled(await unsettledBelow(context, { runId, states, known: {}, findsDetached: false, forResume: null }));
  }
  const { space, runbook, version, versionId, inputs, selector, closure } = run;
  const summary = await acceptRun(context, {
    space,
    runbook,
    spec: storedSpec({ runbook, space }, { parsed: run.document, version }),
    versionId,
    version,
    inputs,
    allowEmpty: run.targetCount === 0,
    reason: request.reason,
    permission: permissionFor(run),
    action: 'run.retry',
    requestDigest: digestOf(key),
    options,
    calendar: request,
    continued: {
      runId,
      how: 'retry',
      memo: null,
      selector,
      scheduleId: run.scheduleId,
      closure,
      detail: { continues: runId, targets: request.targets, rerunUnknown: request.rerunUnknown },
      takeTargets: async (id) => {
        await insertRetriedTargets(transaction, id, runId, { states, isAll: request.targets === 'all' });
        const targets = await readTargetSet(transaction, id);
        if (targets.count === 0 && run.targetCount > 0) throw noneLeft(run, request.targets);
        return { ...targets, undetermined: 0 };
      },
    },
  });
  await tellContinued(context, runId, summary.id, 'retry');
  return summary;
}

function noneLeft({ id, runbook }: ContinuableRun, choice: TargetChoice): FettleError {
  return new FettleError({
    code: 'no-targets',
    message: `No target of run ${id} of runbook "${runbook}" is ${choice === 'all' ? 'there' : choice}.`,
    remedy:
      'Choose others with --targets failed|unknown|unfinished|all, or go on where the run stopped: fettle run resume.',
  });
}
