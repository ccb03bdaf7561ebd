export { startWorker, type RunningWorker } from './start-worker.js';
export { checkpointFile } from './background/seal-audit.js';
