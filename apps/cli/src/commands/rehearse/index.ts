import { InvalidArgumentError, Option, type Command } from 'commander';
import { collect, outputOption } from '../../session/options.js';
import type { Session } from '../../session/session.js';

/** Adds `fettle rehearse`, which needs no server. */
export function addRehearseCommand(program: Command, session: Session): void {
  program
    .command('rehearse')
    .description('carry out runbooks in simulated time, with mocked actions and injected faults; offline')
    .addOption(
      new Option('-f, --file <file>', 'file or folder with runbooks and their rehearsals, or "-" (repeatable)')
        .argParser(collect)
        .makeOptionMandatory(),
    )
    .addOption(outputOption())
    .option('--case <text>', 'only cases whose name (after that of their rehearsal and "/") holds this text')
    .option('--entries', 'show what happened in each case, not only where it is not as expected')
    .option('--junit <file>', 'write the results as JUnit XML, too')
    .addOption(
      new Option(
        '--min-coverage <percent>',
        'fail where fewer of the steps and branches of a runbook were come to',
      ).argParser(parsePercent),
    )
    .addOption(
      new Option(
        '--min-compensation <percent>',
        'fail where fewer of the catch and finally blocks, handlers and rollbacks of a runbook were come to',
      ).argParser(parsePercent),
    )
    .action(session.later(async () => (await import('./rehearse-files.js')).rehearseFiles));
}

function parsePercent(text: string): number {
  const value = Number(/^(\d{1,3}(?:\.\d{1,2})?)%?$/.exec(text)?.[1]);
  if (value >= 0 && value <= 100) return value;
  throw new InvalidArgumentError('It must be a number from 0 to 100.');
}
