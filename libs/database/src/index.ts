export * from './data-source.js';
export * from './entities/documents.js';
export * from './entities/inventory.js';
export * from './entities/principals.js';
export * from './entities/runs.js';
export * from './entities/schedules.js';
export * from './repositories/run-journal.js';
