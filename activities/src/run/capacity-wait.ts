import { FettleError } from '@fettle/contracts';
import { capacityWait as gateOf, freeCapacity, takeCapacity } from '@fettle/database';
import { readWants } from '@fettle/runbook';
import type { CommandOf, WaitKind } from './wait-report.js';

/** The path of the step whose capacity a command is about; empty: the whole run. */
export function capacityPath(gate: string): string {
  return gate.slice(0, gate.length - gateOf('').length);
}

/** A step (or the run) that waits for the capacity it declares: who gives back grants, and wakes it. */
export const capacityWait: WaitKind<CommandOf<'take-capacity'>> = {
  async look(transaction, { runId, command }) {
    try {
      const wants = readWants(command.wants);
      const taken = await takeCapacity(transaction, {
        runId,
        path: capacityPath(command.path),
        wants,
      });
      return taken.kind === 'queued' ? { state: 'open' } : { state: 'succeeded', output: null, error: null };
    } catch (error) {
      if (!(error instanceof FettleError)) throw error;
      const { code, message, remedy } = error;
      return { state: 'failed', output: null, error: { code, message, ...(remedy === undefined ? {} : { remedy }) } };
    }
  },

  /** It may have been granted meanwhile: then it is given back. */
  async end(transaction, { runId, command }) {
    await freeCapacity(transaction, runId, capacityPath(command.path));
    return { state: 'cancelled', output: null, error: null };
  },
};
