import { Option, type Command } from 'commander';
import {
  limitOption,
  parseName,
  parseTime,
  wholeNumber,
  withSpace,
  waitApprovalOption,
} from '../../session/options.js';
import type { Session } from '../../session/session.js';
import { backfillSchedule, showLedger, showWhy } from './ledger.js';
import { showNotifications } from './notifications.js';
import { pauseSchedule, resumeSchedule, triggerSchedule } from './operate-schedule.js';
import { addFeedCommands } from '../forecast/feeds.js';
import { listSchedules, showSchedule } from './read-schedules.js';
import { MAX_PREVIEW } from './schedule-path.js';

export function addScheduleCommands(program: Command, session: Session): void {
  const schedule = program.command('schedule').description('what runs by itself, and when');
  withSpace(schedule.command('list'))
    .alias('ls')
    .description('list schedules with their next fire')
    .action(session.act(listSchedules));
  withSpace(schedule.command('show'))
    .description('show a schedule with its next five fires, in its zone and in yours, and the last ones')
    .argument('<name>')
    .action(session.act(showSchedule));
  withSpace(schedule.command('pause'))
    .description('pause a schedule: what is due meanwhile is recorded as skipped')
    .argument('<name>')
    .requiredOption('--reason <text>', 'why, for whoever wonders later')
    .option('--until <time>', 'it goes on by itself from this time, or after so long: 2h, 7d')
    .action(session.act(pauseSchedule));
  withSpace(schedule.command('resume'))
    .description('resume a schedule')
    .argument('<name>')
    .action(session.act(resumeSchedule));
  withSpace(schedule.command('trigger'))
    .description("start the schedule's run now, or have it wait, as the schedule says of overlap and calendars")
    .argument('<name>')
    .option('-f, --follow', 'wait for its end, with the exit codes of "run start --follow"')
    .option('--override <reason>', 'although a run is under way or a calendar is closed; needs schedule:override')
    .option('--idempotency-key <key>', 'the same key gives the same run')
    .addOption(waitApprovalOption())
    .action(session.act(triggerSchedule));
  addLedger(schedule, session);
  withSpace(schedule.command('notifications'))
    .description('show what was told of a schedule lately, to whom its "notify" says, and whether it arrived')
    .argument('<name>')
    .action(session.act(showNotifications));
  withSpace(schedule.command('preview'))
    .description(
      'show the next fires of a stored schedule, of those in a file, or of what the options say; offline but for the first',
    )
    .argument('[name]', 'name of a stored schedule')
    .option('-f, --file <file>', 'file of documents')
    .option('--cron <expression>', 'five fields, or six with seconds first')
    .option('--every <duration>', 'elapsed time, counted from 1970-01-01T00:00:00Z')
    .option('--phase <duration>', 'with --every: so long after its multiples')
    .option('--rrule <rule>', 'RFC 5545; lines DTSTART, EXDATE and RDATE may stand beside it')
    .option('--zone <zone>', 'IANA name; default UTC, or what the schedule says')
    .option('--from <time>', 'the first moment, inclusive; UTC where it has no offset; default now')
    .addOption(new Option('--gap <policy>', 'local times that the clock leaves out').choices(['shift', 'skip']))
    .addOption(new Option('--overlap <policy>', 'local times that come twice').choices(['first', 'last', 'both']))
    .option('--show-skipped', 'also list what policies and exclusions skip, with why; not counted by --count')
    .option('--count <n>', `how many (at most ${MAX_PREVIEW})`, wholeNumber(1, MAX_PREVIEW), 5)
    .action(session.later(async () => (await import('./preview-schedule.js')).previewSchedule));
  addImport(schedule, session);
  addFeedCommands(schedule, session);
}

function addLedger(schedule: Command, session: Session): void {
  withSpace(schedule.command('backfill'))
    .description('queue a run for each instant of the past that had none')
    .argument('<name>')
    .requiredOption('--from <time>', 'inclusive; a time, or how long ago: 7d', parseTime)
    .requiredOption('--to <time>', 'exclusive; a time, or how long ago', parseTime)
    .requiredOption('--reason <text>', 'why, for whoever wonders later')
    .option('--dry-run', 'only say which')
    .action(session.act(backfillSchedule));
  withSpace(schedule.command('ledger'))
    .description('what became of each instant, the newest first, and whether the sum is right')
    .argument('<name>')
    .addOption(limitOption('at most so many rows', 50))
    .action(session.act(showLedger));
  withSpace(schedule.command('why'))
    .description('one sentence on what became of the last instant, or of a moment')
    .argument('<name>')
    .option('--at <time>', 'the moment; a time, or how long ago', parseTime)
    .action(session.act(showWhy));
}

function addImport(schedule: Command, session: Session): void {
  schedule
    .command('import')
    .description('print documents for what another scheduler does; nothing is applied')
    .command('crontab')
    .description('runbooks and schedules of a crontab on stdout, and on stderr what became of each line')
    .argument('<file>', '"-" reads standard input')
    .requiredOption('--on <selector>', 'the assets that the commands run on')
    .option('--zone <zone>', "IANA name of the host's zone; a CRON_TZ line in the file comes before it")
    .option('--system', 'the system form (/etc/crontab, /etc/cron.d): a user before each command')
    .option('--user <name>', 'user form: whose crontab it is; the commands become that user')
    .addOption(
      new Option('--prefix <name>', 'names of the documents begin with it').default('cron').argParser(parseName),
    )
    .addOption(new Option('--space <name>', 'space of the documents').default('default').argParser(parseName))
    .addOption(
      new Option('-o, --output <format>', 'documents as YAML, or all with the report as JSON')
        .choices(['yaml', 'json'])
        .default('yaml'),
    )
    .action(session.later(async () => (await import('./import-crontab.js')).importCrontab));
}
