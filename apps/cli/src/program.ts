import { Command } from 'commander';
import { commandGroups } from './commands/registry.js';
import type { Session } from './session/session.js';

const NOTES = `
Where: the local stack of this checkout, or --data-dir, or FETTLE_URL with FETTLE_TOKEN.
Data goes to stdout, progress and messages to stderr. NO_COLOR turns colours off.
Exit codes: 0 ok, 1 error, 2 usage, 3 not found, 4 not signed in, 5 denied,
  with --follow 6 run failed or cancelled, 7 timed out, 8 waiting for approval; 130 interrupted.`;

/** The whole command line, ready to parse. Nothing of it ends the process: commander's exits are thrown. */
export function buildProgram(session: Session, version: string): Command {
  const program = new Command('fettle');
  program
    .description('Keeps an IT estate in fine fettle: runbooks, runs and schedules over hosts.')
    .version(version, '-V, --version')
    .addHelpText('after', NOTES)
    .showSuggestionAfterError()
    .showHelpAfterError('(--help shows the options)')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void session.host.stdout.write(text),
      writeErr: (text) => void session.host.stderr.write(text),
      getOutHelpWidth: () => session.host.stdout.columns ?? 80,
      getErrHelpWidth: () => session.host.stderr.columns ?? 80,
      getOutHasColors: () => session.output.colours.isColorSupported,
      getErrHasColors: () => session.output.errorColours.isColorSupported,
    });
  for (const { title, commands } of commandGroups) {
    program.commandsGroup(title);
    for (const add of commands) add(program, session);
  }
  return program;
}
