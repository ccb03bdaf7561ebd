/** What a worker has in flight when it is told to stop may go on for so long. */
export const WORKER_DRAIN_MS = 20_000;
/**
 * By then a stopping worker has ended for certain; what was still in flight is settled by another as after a crash. Whoever stops a
 * worker waits longer than this before it is killed.
 */
export const WORKER_STOP_MS = 25_000;
