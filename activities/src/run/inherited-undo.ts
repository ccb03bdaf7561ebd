import type { ActionStep } from '@fettle/contracts';
import type { Variables } from '@fettle/expression';
import { undoDecision, undoOf, type CompiledStep, type StepDecision, type StepUndo } from '@fettle/runbook';
import { findAction } from '../actions.js';
import { actionContracts } from '../contracts.js';
import type { UndoContext } from '../implementation.js';
import type { KnownRun } from './load-run.js';

/**
 * What a step that is done knows of its undo. What that will need is kept only where the step has the undo of its action, and its run
 * undoes something.
 */
export function undoContext({ program }: Pick<KnownRun, 'program'>, step: ActionStep, stepToken: string): UndoContext {
  const inherited = findAction(step.uses)?.contract.compensation?.uses;
  const isUndone = inherited !== undefined && undoOf(step, actionContracts)?.uses === inherited;
  return { stepToken, keeps: isUndone && program.rollback !== 'nothing', of: null };
}

/** Decides an undo on a target: `compiled` is the rollback's own input or, where it is inherited, that of the step. */
export function decideUndo(
  undo: StepUndo,
  { uses }: ActionStep,
  compiled: CompiledStep,
): (variables: Variables) => StepDecision {
  const action = findAction(uses)?.contract;
  return (variables) => undoDecision(undo, { compiled, action }, variables);
}
