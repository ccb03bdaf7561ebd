import { runStates, targetChoices } from '@fettle/contracts';
import { InvalidArgumentError, Option, type Command } from 'commander';
import {
  collect,
  limitOption,
  parseCount,
  parseName,
  waitApprovalOption,
  withApi,
  withCalendars,
  withSpace,
} from '../../session/options.js';
import type { Session } from '../../session/session.js';
import { cancelRun } from './cancel-run.js';
import { resolveRun, resumeRun, retryRun } from './continue-run.js';
import { diffRuns } from './diff-runs.js';
import { followExistingRun } from './follow-existing-run.js';
import { listRuns } from './list-runs.js';
import { showHistory } from './show-history.js';
import { showInputs } from './show-inputs.js';
import { showLogs } from './show-logs.js';
import { showRun } from './show-run.js';
import { signalRun } from './signal-run.js';
import { startRun } from './start-run.js';

export function addRunCommands(program: Command, session: Session): void {
  const run = program.command('run').description('start runbooks and see what became of them');
  withCalendars(withSpace(run.command('start')))
    .description('start a run of a runbook')
    .argument('<runbook>', 'name of the runbook')
    .option(
      '--input <name=value>',
      'an input; text, unless the runbook says number, boolean, array or object; name:=JSON forces JSON; repeat the name for several values',
      collect,
    )
    .option('--inputs-file <file>', 'inputs as a YAML or JSON object; "-" reads standard input')
    .option('--on <selector>', "narrow the runbook's targets, e.g. 'asset.labels.site == \"ber\"'")
    .option('--runbook-version <version>', 'number or digest of a version; default: the current one')
    .option('--allow-empty', 'accept that no target matches')
    .option('--reason <text>', 'why, for the audit log')
    .option('--plan-digest <digest>', 'do what this plan says, or nothing: refused if anything would differ')
    .option('--idempotency-key <key>', 'the same key and request give the same run')
    .option(
      '-f, --follow',
      'wait for its end and show progress; exit 6 failed or cancelled, 7 timed out, 8 waiting for approval',
    )
    .addOption(waitApprovalOption())
    .action(session.act(startRun));
  withSpace(run.command('inputs'))
    .description('show what a runbook takes, and the values that may be given')
    .argument('<runbook>', 'name of the runbook')
    .option('--runbook-version <version>', 'number or digest of a version; default: the current one')
    .action(session.act(showInputs));
  withSpace(run.command('list'))
    .alias('ls')
    .description('list runs, newest first')
    .addOption(new Option('--state <state>', 'only runs in this state').choices(runStates))
    .addOption(new Option('--runbook <name>', 'only runs of this runbook').argParser(parseName))
    .addOption(limitOption('at most so many', 20))
    .option('--all', 'all of them')
    .option('--sub-runs', 'also those that steps of other runs called')
    .action(session.act(listRuns));
  withApi(run.command('show'))
    .description('show a run and its targets')
    .argument('<id>', 'id of the run')
    .option('--all', 'all targets, not only the first lines')
    .option('--at <entry>', 'its state after the entry of that number', parseEntryNumber)
    .action(session.act(showRun));
  withApi(run.command('logs'))
    .description('print what the hosts wrote')
    .argument('<id>', 'id of the run')
    .option('--asset <name>', 'only this target, without its name before each line')
    .option('--step <id>', 'only this step')
    .option('-f, --follow', 'go on until the run ends (exit 0 then, whatever became of it)')
    .action(session.act(showLogs));
  withApi(run.command('history'))
    .description("show what is archived of a run's workflow in Temporal, held against the audit log")
    .argument('<id>', 'id of the run')
    .option('--raw <file>', 'write an execution\'s history as Temporal\'s JSON; "-" writes to standard output')
    .option('--events', 'list the events of an execution')
    .option('--execution <number>', 'which one, where the run went on in several; default: the last', parseCount)
    .action(session.act(showHistory));
  withApi(run.command('follow'))
    .description('follow a run to its end, with the exit codes of "run start --follow"')
    .argument('<id>', 'id of the run')
    .option('--logs', 'with what the hosts write')
    .addOption(waitApprovalOption())
    .action(session.act(followExistingRun));
  withApi(run.command('signal'))
    .description('send a signal to the step of a run that waits for it')
    .argument('<id>', 'id of the run')
    .argument('<name>', 'name of the signal')
    .option('--payload <json>', 'a JSON object that fits the schema of the step; "-" reads standard input')
    .action(session.act(signalRun));
  addContinuing(run, session);
  withApi(run.command('cancel'))
    .description('cancel a run: ends what is under way on the hosts')
    .argument('<id>', 'id of the run')
    .option('--reason <text>', 'why, for the audit log')
    .option('-f, --follow', 'wait until it has ended (exit 0 when it was cancelled)')
    .action(session.act(cancelRun));
}

function addContinuing(run: Command, session: Session): void {
  withContinuing(withApi(run.command('resume')))
    .description('go on where an ended run stopped: a new run that knows what that one did')
    .argument('<id>', 'id of the run that failed, was cancelled, timed out or was lost')
    .option(
      '--runbook-version <version>',
      'go on with another version ("latest", a number or a digest), and the newest of the runbooks that it calls',
    )
    .option('--acknowledge <digest>', 'what the refusal names: the difference was seen')
    .option('-y, --yes', 'acknowledge the difference that is shown')
    .action(session.act(resumeRun));
  withContinuing(withApi(run.command('retry')))
    .description(
      'make an ended run again from its beginning: same version, same inputs, those targets that did not come through',
    )
    .argument('<id>', 'id of the run')
    .action(session.act(retryRun));
  withApi(run.command('resolve'))
    .description('say what became of a step that is unknown, so that the run can be taken up')
    .argument('<id>', 'id of the run')
    .option('--target <name>', 'the target; left out: a step of the run itself')
    .option('--step <path>', 'path of the step, with "#undo" behind it for its rollback; default: whichever is unknown')
    .addOption(new Option('--as <what>', 'what you found').choices(['done', 'not-done']).makeOptionMandatory())
    .requiredOption('--reason <text>', 'how you know, for the audit log')
    .action(session.act(resolveRun));
  withApi(run.command('diff'))
    .description('show in what two runs differ: version, inputs, targets and their ends, steps and how long they took')
    .argument('<a>', 'id of a run')
    .argument('<b>', 'id of another one')
    .action(session.act(diffRuns));
}

/** What resume and retry share. */
function withContinuing(command: Command): Command {
  return withCalendars(command)
    .addOption(
      new Option('--targets <which>', 'failed (and unreachable), unknown, unfinished (all that did not come through)')
        .choices(targetChoices)
        .default('unfinished'),
    )
    .option('--rerun-unknown', 'make steps again of which nobody knows whether they happened; needs --reason')
    .option('--reason <text>', 'why, for the audit log')
    .option('--idempotency-key <key>', 'the same key and request give the same run')
    .option('-f, --follow', 'wait for its end and show progress, with the exit codes of "run start --follow"')
    .addOption(waitApprovalOption());
}

function parseEntryNumber(text: string): number {
  const number = Number(text);
  if (/^\d{1,15}$/.test(text) && Number.isSafeInteger(number)) return number;
  throw new InvalidArgumentError('It must be the number of an entry, from 0.');
}
