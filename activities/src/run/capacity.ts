import { FettleError } from '@fettle/contracts';
import { freeCapacity, takeCapacity } from '@fettle/database';
import { readWants } from '@fettle/runbook';
import { storedError } from './judge-error.js';
import type { CommandOf, WaitKind, WaitReport } from './wait-report.js';

/** Path of the step that a command about its capacity belongs to; empty: the whole run. */
export function capacityPath(path: string): string {
  return path.replace(/#capacity$/, '');
}

const granted: WaitReport = { state: 'succeeded', output: null, error: null };

/** Takes the capacities that a step declares, all at once; until it has them, it has a place in their queues. */
export const capacityWait: WaitKind<CommandOf<'take-capacity'>> = {
  async look(transaction, { runId, command }) {
    const { wants, within } = command;
    try {
      const take = { runId, path: capacityPath(command.path), wants: readWants(wants), within };
      const taken = await takeCapacity(transaction, take);
      return taken.kind === 'granted' ? granted : { state: 'open' };
    } catch (error) {
      if (!(error instanceof FettleError)) throw error;
      return { state: 'failed', output: null, error: storedError(error) };
    }
  },

  async end(transaction, { runId, command }) {
    await freeCapacity(transaction, runId, capacityPath(command.path));
    return { state: 'cancelled', output: null, error: null };
  },
};
