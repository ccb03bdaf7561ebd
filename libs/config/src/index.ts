export * from './process-config.js';
export * from './stop-times.js';
