import { runCli } from './run-cli.js';
import { EXIT } from './session/exit-codes.js';
import type { CliHost } from './session/host.js';

/** A command that does not notice that it was interrupted is ended after this. */
const GRACE_MS = 2000;

let signal: AbortSignal | undefined;

/** Turns Ctrl-C and SIGTERM into an abort; a second one ends the process at once. */
function interruption(): AbortSignal {
  if (signal !== undefined) return signal;
  const controller = new AbortController();
  ({ signal } = controller);
  const interrupt = (): void => {
    if (controller.signal.aborted) process.exit(EXIT.interrupted);
    controller.abort();
    setTimeout(() => process.exit(EXIT.interrupted), GRACE_MS).unref();
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  return signal;
}

const host: CliHost = {
  stdout: process.stdout,
  stderr: process.stderr,
  stdin: process.stdin,
  env: process.env,
  interruption,
  now: () => new Date(),
};

// `fettle run list | head`: the reader has enough, and that is no error.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(EXIT.ok);
  });
}

const exitCode = await runCli(process.argv.slice(2), host);
// Pipes take text later than `write` returns: ending before would lose it.
await Promise.all(
  [process.stdout, process.stderr].map((stream) => new Promise((resolve) => stream.write('', resolve))),
);
process.exit(exitCode);
