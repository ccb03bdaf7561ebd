import type { ActionContract, ActionStep, Duration, Retry, RollbackAction } from '@fettle/contracts';
import type { Variables } from '@fettle/expression';
import type { JsonObject } from '../json.js';
import { decideStep, type CompiledStep, type StepDecision } from './decide-step.js';
import type { ActionScopes } from './program-nodes.js';

/** A rollback is tried again although it does not ask for it: nobody is there to do it by hand at night. */
export const ROLLBACK_RETRY: Retry = { maxAttempts: 3, backoff: '5s', maxBackoff: '1m' };

/** How a step says that it is undone; null: it says nothing, or why it cannot be. */
export function rollbackOf({ rollback }: Pick<ActionStep, 'rollback'>): RollbackAction | null {
  return rollback === undefined || 'none' in rollback ? null : rollback;
}

/** How a step on a target is undone: by its own `rollback`, or by the undo that its action brings with it. */
export interface StepUndo {
  readonly uses: string;
  /** Null: inherited; its input is made from what the step was given. */
  readonly with: Readonly<Record<string, unknown>> | null;
  readonly retry: Retry;
  readonly timeout: Duration | undefined;
}

/** Null: it is not undone, because neither it nor its action says how, or because it says why it cannot be. */
export function undoOf(step: Pick<ActionStep, 'uses' | 'rollback'>, actions: ActionScopes): StepUndo | null {
  const own = rollbackOf(step);
  if (own !== null) {
    return { uses: own.uses, with: own.with, retry: own.retry ?? ROLLBACK_RETRY, timeout: own.timeout };
  }
  const compensation = Object.hasOwn(actions, step.uses) ? actions[step.uses]?.compensation : undefined;
  if (step.rollback !== undefined || compensation === undefined || compensation === null) return null;
  return { uses: compensation.uses, with: null, retry: ROLLBACK_RETRY, timeout: undefined };
}

/**
 * Whether and with what a step's effect on a target is undone: `skip` where what it was given leaves nothing to undo. `compiled` is the
 * rollback's own `with`, or, where the undo is inherited, that of the step.
 */
export function undoDecision(
  undo: StepUndo,
  { compiled, action }: { readonly compiled: CompiledStep; readonly action: ActionContract | undefined },
  variables: Variables,
): StepDecision {
  const decision = decideStep({ ...compiled, condition: null }, variables);
  if (undo.with !== null || decision.kind !== 'run') return decision;
  const compensation = action?.compensation ?? null;
  const given = action?.input.safeParse(decision.input);
  if (compensation === null || given?.success !== true) {
    const message = 'what the step was given can no longer be told, so what undoes it cannot either';
    return { kind: 'fail', error: { code: 'invalid-input', message } };
  }
  const input = compensation.input(given.data);
  return input === null ? { kind: 'skip' } : { kind: 'run', input: input as JsonObject };
}
