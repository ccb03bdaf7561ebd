import { actionContracts } from '@fettle/activities/contracts';
import { isActionStep, walkSteps, type RunbookSpec, type Step } from '@fettle/contracts';
import type { NewRun } from '@fettle/database';
import { undoOf } from '@fettle/runbook';

/** What a run of a runbook does with its effects where it does not succeed, and whether anything of it can be undone. */
export function rollbackOf({ steps, handlers = {}, rollback = 'unfinished' }: RunbookSpec): NewRun['rollback'] {
  const isUndone = (step: Step): boolean =>
    isActionStep(step) && isOnTargets(step) && undoOf(step, actionContracts) !== null;
  const hasUndo = [steps, ...Object.values(handlers)].some((list) => [...walkSteps(list)].some(isUndone));
  return { policy: rollback, hasUndo };
}

/** Whether a step does something on each target. */
export function isOnTargets(step: Step): boolean {
  if (isActionStep(step)) {
    if (!Object.hasOwn(actionContracts, step.uses)) return false;
    return actionContracts[step.uses as keyof typeof actionContracts].scope === 'target';
  }
  // Its own targets are among those that the called run inherits.
  return 'call' in step && step.call.targets === 'inherit';
}
