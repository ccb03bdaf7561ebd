import { targetStates, type StepState, type TargetCounts, type TargetState } from '@fettle/contracts';
import type { AssetView } from '@fettle/expression';
import type { StepError } from '../engine/decide-step.js';
import type { JsonValue } from '../json.js';

/** A target as the table of a run has it. */
export interface TargetRow {
  readonly name: string;
  readonly asset: AssetView;
  /** Place in the order of dispatch. */
  readonly place: number;
  /** From 1. */
  readonly wave: number;
  state: TargetState;
  stepIndex: number;
  generation: number;
  dueAtMs: number;
  /** An attempt of it is in flight. */
  isClaimed: boolean;
  /** Failures that are put off until after a `finally`, as bits; with `STOPPED` it goes through what a cancel leaves it. */
  failing: number;
  /** A step of it was executed, not only skipped. */
  hasExecuted: boolean;
  /** Why it last failed, and in which step. */
  error: (StepError & { readonly step: string }) | null;
  /** By step id. */
  readonly outputs: Record<string, JsonValue>;
  /** Paths of the steps that were begun with, the first one first. */
  readonly begun: Map<string, BegunStep>;
  /** Paths of the steps that were undone. */
  readonly undone: Set<string>;
  /** Something of it could not be undone: what was done before that stays. */
  isRollbackIncomplete: boolean;
}

/** What a rollback must know of a step. */
export interface BegunStep {
  /** Index among all target steps. */
  readonly index: number;
  /** Of the last attempt; null: it is in flight. */
  state: StepState | null;
  /** Of the last attempt before it that reached the target; null: there was none. */
  before: StepState | null;
  /** An action was called: not one that was skipped, or refused before. */
  isExecuted: boolean;
}

export function isOpen(target: TargetRow): boolean {
  return target.state === 'pending' || target.state === 'running';
}

export function countTargets(targets: readonly TargetRow[]): TargetCounts {
  const counts = Object.fromEntries(targetStates.map((state) => [state, 0])) as Record<TargetState, number>;
  for (const { state } of targets) counts[state] += 1;
  return counts;
}
