import {
  endedRunStates,
  FettleError,
  notFoundError,
  targetStates,
  type TargetChoice,
  type TargetState,
} from '@fettle/contracts';
import {
  appendEntries,
  findOpenBelow,
  listCalls,
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
  // It may be lost while a run that it called goes on, which has only been asked to end.
  const below = await findOpenBelow(context.transaction, runId);
  if (below !== null) {
    throw new FettleError({
      code: 'run-open',
      message: `Run ${runId} has ended, but run ${below.id}, which it called, has not; it is ${below.state}.`,
      remedy: `Wait for its end (fettle run follow ${below.id}), or cancel it first.`,
      detail: { runId: below.id },
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

const came: readonly TargetState[] = ['succeeded', 'skipped'];
const statesOf: Readonly<Record<TargetChoice, readonly TargetState[]>> = {
  failed: ['failed', 'unreachable', 'quarantined'],
  unknown: ['unknown'],
  unfinished: ['pending', 'running', 'failed', 'unreachable', 'quarantined', 'cancelled', 'unknown'],
  all: ['pending', 'running', 'failed', 'unreachable', 'quarantined', 'cancelled', 'unknown', ...came],
};

/** End states of the targets that are meant. What never began counts as unfinished. */
export function chosenStates(choice: TargetChoice, run: Pick<ContinuableRun, 'state'>): readonly TargetState[] {
  // A run that broke off skips the targets that it never came to.
  return choice === 'unfinished' && run.state !== 'succeeded' ? [...statesOf[choice], 'skipped'] : statesOf[choice];
}

/** A run whose unknown steps are looked for. */
export interface UnsettledIn {
  readonly runId: string;
  readonly states: readonly TargetState[];
  /** Paths of steps of the run itself that it went on after. */
  readonly known: Readonly<Record<string, unknown>>;
  /** Commands that run detached are found again by their tokens: nobody has to say anything of them. */
  readonly findsDetached: boolean;
  /** It is taken up, not made again; steps on targets, without iterations, whose failure a target goes on after. */
  readonly forResume: { readonly passedOn: readonly string[] } | null;
}

/** To undo it once more would not make the step again, nor the other way round: a person has to say which of the two holds. */
export const isUndo = ({ step }: Pick<UnsettledStep, 'step'>): boolean => step.endsWith('#undo');

/** How deep called runs are looked into. */
export const MAX_DEPTH = 9;

/** What nobody knows of a run, and of those that it called and that are taken up, or made again, with it. */
export async function unsettledBelow(
  context: OperationContext,
  { runId, states, known, findsDetached, forResume }: UnsettledIn,
  depth = 0,
): Promise<UnsettledStep[]> {
  const { transaction } = context;
  const unsettled = (await listUnsettledSteps(transaction, runId, states, forResume)).filter(
    ({ asset, step, detached }) => {
      if (isUndo({ step })) return true;
      return asset === null ? !Object.hasOwn(known, step) : !(detached && findsDetached);
    },
  );
  if (depth >= MAX_DEPTH) return unsettled;
  for (const { path, childRunId, hasSucceeded, isUndone, isSettled } of await listCalls(transaction, runId)) {
    if (Object.hasOwn(known, path)) continue;
    // A run that is made again calls all of them again. One that is taken up calls those again of which it forgets that they ended
    // well, and goes by what came of one that succeeded while nobody was there. (What runs below know is not looked at here.)
    // One that was undone is taken up, whatever it came to.
    const isCalledAnew = forResume === null || (hasSucceeded && isSettled && !isUndone && depth === 0);
    if (hasSucceeded && !isUndone && !isCalledAnew) continue;
    const how = isCalledAnew ? { findsDetached: false, forResume: null } : { findsDetached, forResume };
    const child = { runId: childRunId, states: targetStates, known: {}, ...how };
    unsettled.push(...(await unsettledBelow(context, child, depth + 1)));
  }
  return unsettled;
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
    remedy: `Look, then say so: fettle run resolve ${first.runId}${target} --step '${first.step}' --as done|not-done --reason TEXT; ${unsettled.some(isUndo) ? '--rerun-unknown is of no use where an undo (#undo) is unknown.' : 'or make them again all the same: --rerun-unknown --reason TEXT.'}`,
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
