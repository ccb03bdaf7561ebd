import { endWave, notifyRun, startWave, type StartedWave, type WaveStep } from '@fettle/database';
import type { WorkerServices } from './services.js';

/** Local activities that journal the waves of a run. */
export function waveActivities(dataSource: WorkerServices['dataSource']) {
  return {
    async startWave(step: WaveStep): Promise<StartedWave> {
      return dataSource.transaction(async (transaction) => {
        const started = await startWave(transaction, step);
        await notifyRun(transaction, step.runId);
        return started;
      });
    },

    /** `soakMs`: how long the run waits before the next wave; 0: not at all. */
    async endWave({ soakMs, ...step }: WaveStep & { readonly soakMs: number }): Promise<void> {
      await dataSource.transaction(async (transaction) => {
        await endWave(transaction, step, soakMs);
        await notifyRun(transaction, step.runId);
      });
    },
  };
}
