import { endedRunStates, FettleError, notFoundError, type TargetState } from '@fettle/contracts';
import {
  appendEntries,
  listUnsettledSteps,
  lockContinuableRun,
  lockRun,
  notifyRun,
  saveLockedRun,
  type ContinuableRun,
  type UnsettledStep,
} from '@fettle/database';
import type { Permission } from '@fettle/security';
import type { OperationContext } from './context.js';
import { requireRunInScope } from './select-targets.js';

/** A one-off command is started again by whoever may run such commands. */
export function permissionFor({ isOneOff }: Pick<ContinuableRun, 'isOneOff'>): Permission {
  return isOneOff ? 'exec:run' : 'run:start';
}

/**
 * A run that has ended, locked; the actor may start runs on all its targets.
 * @throws FettleError `not-found`, `denied`, `run-open`, `called-run`
 */
export async function requireContinuable(context: OperationContext, runId: string): Promise<ContinuableRun> {
  const run = await lockContinuableRun(context.transaction, runId);
  if (run === null) throw notFoundError('run', runId, { remedy: 'See `fettle run list`.' });
  await requireRunInScope(context, permissionFor(run), run);
  if (!endedRunStates.includes(run.state)) {
    throw new FettleError({
      code: 'run-open',
      message: `Run ${runId} has not ended; it is ${run.state}.`,
      remedy: `Wait for its end (fettle run follow ${runId}), or cancel it first.`,
    });
  }
  if (run.parentRunId !== null) {
    throw new FettleError({
      code: 'called-run',
      message: `Run ${runId} was called by a step of run ${run.parentRunId}.`,
      remedy: `Take that one up; it goes on inside of this one: fettle run resume ${run.parentRunId}`,
      detail: { runId: run.parentRunId },
    });
  }
  return run;
}

/** @throws FettleError `invalid-request` where what may have happened is to be made again without a reason */
export function requireReason(request: { readonly rerunUnknown: boolean; readonly reason?: string | undefined }): void {
  if (!request.rerunUnknown || request.reason !== undefined) return;
  throw new FettleError({
    code: 'invalid-request',
    message: 'To make steps again of which nobody knows whether they happened needs a reason.',
    remedy: 'Say why with --reason; it stands in the audit log.',
  });
}

export function unsettledOf(
  { transaction }: OperationContext,
  runId: string,
  states: readonly TargetState[],
): Promise<UnsettledStep[]> {
  return listUnsettledSteps(transaction, runId, states);
}

/** Unsettled steps that an error names. */
const SHOWN_UNSETTLED = 20;

/** @throws FettleError `unsettled-steps`: an effect that may have happened is never made again in silence */
export function requireSettled(unsettled: readonly UnsettledStep[]): void {
  const [first] = unsettled;
  if (first === undefined) return;
  const where = ({ asset, step }: UnsettledStep): string => (asset === null ? `"${step}"` : `"${step}" on ${asset}`);
  const list = unsettled.slice(0, 3).map(where).join(', ');
  const more = unsettled.length > 3 ? `, and ${unsettled.length - 3} more` : '';
  const target = first.asset === null ? '' : ` --target ${first.asset}`;
  throw new FettleError({
    code: 'unsettled-steps',
    message: `Nobody knows whether these steps happened: ${list}${more}.`,
    remedy: `Look, then say so: fettle run resolve ${first.runId}${target} --step '${first.step}' --as done|not-done --reason TEXT; or make them again all the same: --rerun-unknown --reason TEXT.`,
    detail: {
      count: unsettled.length,
      unsettled: unsettled
        .slice(0, SHOWN_UNSETTLED)
        .map(({ runId, asset, step, effect }) => ({ runId, asset, step, effect })),
    },
  });
}

/** The ended run tells which one goes on with it. */
export async function tellContinued(
  { transaction, actor }: OperationContext,
  runId: string,
  byRunId: string,
  how: 'resume' | 'retry',
): Promise<void> {
  const run = await lockRun(transaction, runId);
  await appendEntries(transaction, run, [{ kind: 'run-continued', data: { runId: byRunId, how, by: actor.name } }]);
  await saveLockedRun(transaction, run);
  await notifyRun(transaction, runId);
}
