export * from './errors.js';
export * from './ids.js';
export * from './states.js';
export * from './action.js';
export * from './documents.js';
export * from './api.js';
export * from './api-inventory.js';
export * from './api-queries.js';
