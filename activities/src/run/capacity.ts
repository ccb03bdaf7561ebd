import { FettleError } from '@fettle/contracts';
import { freeCapacity, takeCapacity, type StoredError } from '@fettle/database';
import { readWants } from '@fettle/runbook';
import type { WorkerServices } from './services.js';

export interface TakeCapacityInput {
  readonly runId: string;
  /** Path of the step; empty: the whole run. */
  readonly path: string;
  /** The step's `capacity` with its `${{ }}` evaluated. */
  readonly capacity: unknown;
  /** The higher comes first; absent: 0. */
  readonly priority?: number;
  /** Paths of the steps of this run that this one stands in and that have a capacity of their own. */
  readonly within?: readonly string[];
}

/** What the workflow learns: who else holds what stands in Postgres. */
export type TakeCapacityReport =
  | { readonly kind: 'granted' }
  /** Ask again when the signal `wake` comes, and every minute or so, should it have been lost. */
  | { readonly kind: 'queued'; readonly position: number }
  /** It can never be granted: the step fails. */
  | { readonly kind: 'refused'; readonly error: StoredError };

/** Local activities that take and give back the capacities that a step declares; each may be repeated. */
export function capacityActivities(dataSource: WorkerServices['dataSource']) {
  return {
    async takeCapacity(input: TakeCapacityInput): Promise<TakeCapacityReport> {
      const { capacity, priority = 0, ...rest } = input;
      try {
        const wants = readWants(capacity);
        const taken = await dataSource.transaction((transaction) =>
          takeCapacity(transaction, { ...rest, wants, priority }),
        );
        return taken.kind === 'granted' ? taken : { kind: 'queued', position: taken.position };
      } catch (error) {
        if (!(error instanceof FettleError)) throw error;
        const { code, message, remedy } = error;
        return { kind: 'refused', error: { code, message, ...(remedy === undefined ? {} : { remedy }) } };
      }
    },

    /** After the step's end, whatever it was; for the whole run `endRun` does it. */
    async freeCapacity(input: { readonly runId: string; readonly path: string }): Promise<void> {
      await dataSource.transaction((transaction) => freeCapacity(transaction, input.runId, input.path));
    },
  };
}
