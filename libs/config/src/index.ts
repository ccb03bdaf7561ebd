export * from './process-config.js';
