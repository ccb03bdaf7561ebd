import { readFileSync } from 'node:fs';
import { CommanderError } from 'commander';
import { buildProgram } from './program.js';
import { InterruptedError, exitCodeOfError } from './session/errors.js';
import { EXIT } from './session/exit-codes.js';
import type { CliHost } from './session/host.js';
import { Session } from './session/session.js';

/** Runs one command line (without the program's own name). @returns the exit code; errors have been told on stderr. */
export async function runCli(args: readonly string[], host: CliHost): Promise<number> {
  const session = new Session(host);
  try {
    await buildProgram(session, version()).parseAsync(args, { from: 'user' });
    return session.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return exitCodeOfCommander(error);
    if (!(error instanceof InterruptedError)) session.output.error(error);
    return exitCodeOfError(error);
  }
}

/** Commander has printed its message already. Help that was asked for is no error; help for want of a command is. */
function exitCodeOfCommander(error: CommanderError): number {
  return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
}

function version(): string {
  const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
  return manifest.version;
}
