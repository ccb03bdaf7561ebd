import { ensurePartitions } from '@fettle/database';
import { idleRound, type BackgroundTask } from './run-loop.js';

/** Makes the partitions of the coming months before they are needed. */
export function keepPartitions(): BackgroundTask {
  return {
    name: 'keep-partitions',
    intervalMs: 6 * 3_600_000,
    async round(transaction) {
      await ensurePartitions(transaction);
      return idleRound;
    },
  };
}
