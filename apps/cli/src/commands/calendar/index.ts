import { Option, type Command } from 'commander';
import { collect, parseName, withSpace } from '../../session/options.js';
import type { Session } from '../../session/session.js';
import { calendarStatus, showCalendar } from './read-calendars.js';

export function addCalendarCommands(program: Command, session: Session): void {
  const calendar = program.command('calendar').description('maintenance windows, freezes and holidays');
  withSpace(calendar.command('show'))
    .description('show when a calendar is open and closed, by its own clock or by that of a site')
    .argument('<name>')
    .option('--from <time>', 'the first moment; UTC where it has no offset; default: now')
    .option('--to <time>', 'the last moment; default: 31 days later')
    .option('--site <name>', 'by the clock of that site')
    .action(session.act(showCalendar));
  withSpace(calendar.command('status'))
    .description('show whether work may begin: on an asset, or by each calendar')
    .option('--asset <name>', 'by all calendars that hold for this asset')
    .option('--at <time>', 'at another moment than now; UTC where it has no offset')
    .action(session.act(calendarStatus));
  calendar
    .command('import-ical')
    .description(
      'print a Calendar for an iCalendar file (.ics), and tell on stderr what became of each event; nothing is applied',
    )
    .argument('<file>', '"-" reads standard input')
    .addOption(new Option('--name <name>', 'of the calendar').argParser(parseName).makeOptionMandatory())
    .addOption(
      new Option('--as <kind>', 'what its events are')
        .choices(['windows', 'freezes', 'holidays'])
        .makeOptionMandatory(),
    )
    .requiredOption('--zone <zone>', 'IANA name: the clock of the calendar, and of events that name none')
    .option('--zone-of <name=zone>', 'IANA name of a zone that the file calls otherwise (repeatable)', collect)
    .option('--cutoff <duration>', 'of each window: nothing begins any more so long before its end')
    .option('--assets <selector>', 'the assets for which it holds; without: only where it is named')
    .addOption(new Option('--space <name>', 'space of the calendar').default('default').argParser(parseName))
    .addOption(
      new Option('-o, --output <format>', 'the document as YAML, or with the report as JSON')
        .choices(['yaml', 'json'])
        .default('yaml'),
    )
    .action(session.later(async () => (await import('./import-ical.js')).importIcalFile));
}
