export { runCli } from './run-cli.js';
export { EXIT } from './session/exit-codes.js';
export type { CliHost, Sink } from './session/host.js';
