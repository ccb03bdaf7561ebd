export * from './connect.js';
export * from './send-command.js';
export * from './compare-runs.js';
export * from './history-json.js';
export * from './read-history.js';
export * from './deployments.js';
export * from './read-schedule.js';
export * from './waking-schedule-id.js';
