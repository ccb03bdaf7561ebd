/** What a claim must keep to, as it is under the run's lock. */
export interface DispatchBudget {
  /** At most so many more. */
  readonly wanted: number;
  readonly maxConcurrency: number;
  /** Targets being worked on now. */
  readonly claimed: number;
  /** Targets that wait for another attempt. */
  readonly waiting: number;
  /** Targets that have failed. */
  readonly failures: number;
  /** Null: any number may fail. */
  readonly maxFailures: number | null;
  /** Targets in flight (claimed or waiting) count as failed before more are dispatched. */
  readonly isStrict: boolean;
}

export interface DispatchRoom {
  /** Claims in all. */
  readonly all: number;
  /** Of these, first attempts of a step; another attempt needs no room, it counts already. */
  readonly first: number;
}

/**
 * How many attempts may be dispatched now. Where too many have failed already, there is room for all: what a run has not come to
 * is cancelled then, and the targets that it has begun with finish.
 */
export function dispatchRoom(budget: DispatchBudget): DispatchRoom {
  const { wanted, maxConcurrency, claimed, waiting, failures, maxFailures, isStrict } = budget;
  const all = Math.max(0, Math.min(wanted, maxConcurrency - claimed));
  if (!isStrict || maxFailures === null || failures > maxFailures) return { all, first: all };
  return { all, first: Math.max(0, Math.min(all, maxFailures + 1 - failures - claimed - waiting)) };
}
