import { FettleError, isActionStep, walkSteps, type RunbookSpec, type Step } from '@fettle/contracts';
import { actionContracts } from '@fettle/activities/contracts';
import type { NewRun } from '@fettle/database';
import { undoOf } from '@fettle/runbook';
import { targetSelector } from './select-targets.js';

/** The targets that a run is asked for; null: its steps act on none. @throws FettleError `invalid-request` */
export function selectorOf(request: {
  readonly runbook: string;
  readonly spec: RunbookSpec;
  readonly on?: string | undefined;
}): ReturnType<typeof targetSelector> | null {
  const { steps, handlers = {} } = request.spec;
  const needsTargets = [steps, ...Object.values(handlers)].some((list) => [...walkSteps(list)].some(isOnTargets));
  if (request.spec.targets !== undefined && needsTargets) return targetSelector(request.spec.targets, request.on);
  if (request.on === undefined) return null;
  throw new FettleError({
    code: 'invalid-request',
    message: `Runbook "${request.runbook}" has no targets, so there is nothing that --on could narrow.`,
    remedy: 'Leave --on out.',
  });
}

/** What is undone of a run that does not succeed, and whether anything of it could be. */
export function rollbackOf({ steps, handlers = {}, rollback = 'unfinished' }: RunbookSpec): NewRun['rollback'] {
  const isUndone = (step: Step): boolean =>
    isActionStep(step) && isOnTargets(step) && undoOf(step, actionContracts) !== null;
  const hasUndo = [steps, ...Object.values(handlers)].some((list) => [...walkSteps(list)].some(isUndone));
  return { policy: rollback, hasUndo };
}

function isOnTargets(step: Step): boolean {
  if (isActionStep(step)) {
    if (!Object.hasOwn(actionContracts, step.uses)) return false;
    return actionContracts[step.uses as keyof typeof actionContracts].scope === 'target';
  }
  // Its own targets are among those that the called run inherits.
  return 'call' in step && step.call.targets === 'inherit';
}
