import { Option, type Command } from 'commander';
import { collect, limitOption, wholeNumber, withSpace } from '../../session/options.js';
import type { Session } from '../../session/session.js';

export function addReportCommands(program: Command, session: Session): void {
  const report = program.command('report').description('how the estate stands');
  withSpace(report.command('patch'))
    .description('how assets stand against their patch baselines; those never scanned are told as such')
    .option('--on <selector>', 'only those selected, e.g. \'asset.kind == "server"\'')
    .addOption(
      new Option('--updates <which>', 'by these rules alone, instead of baselines').choices(['security', 'all']),
    )
    .addOption(
      new Option('--baseline <name>', 'by this one, instead of the baseline of each asset').conflicts('updates'),
    )
    .option('--approved <pattern>', 'only packages of these names are wanted (repeatable)', collect)
    .option('--rejected <pattern>', 'names that are not wanted at all (repeatable)', collect)
    .option('--delay-days <n>', 'wanted only after so many days on offer', wholeNumber(0, 365), 0)
    .option('--max-age-days <n>', 'a scan that is older says nothing any more', wholeNumber(0, 365))
    .option('--by <label>', 'counts for each value of a label, in place of the assets')
    .option('--by-baseline', 'counts for each baseline, in place of the assets')
    .addOption(new Option('--format <format>', 'a file instead of -o, on standard output').choices(['csv', 'html']))
    .addOption(limitOption('at most so many assets'))
    .action(session.later(async () => (await import('./report-patches.js')).reportPatches));
}
