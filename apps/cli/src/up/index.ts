export { upCommand, type UpOptions } from './up-command.js';
export { downCommand, type DownOptions } from './down-command.js';
export { statusCommand, type StatusOptions } from './status-command.js';
export { doctorCommand, type DoctorOptions } from './doctor-command.js';
export { findLocalStack, type LocalStack } from './stack-state.js';
export { resolveDataDir } from './data-dir.js';
export type { Output, TextSink } from './output.js';
