import { effects } from '@fettle/contracts';
import { Option, type Command } from 'commander';
import { parseDurationSeconds, wholeNumber, withCalendars, withSpace } from '../../session/options.js';
import type { Session } from '../../session/session.js';
import { execCommand } from './exec-command.js';

export function addExecCommand(program: Command, session: Session): void {
  withCalendars(withSpace(program.command('exec')))
    .description('run one command on hosts: a run like any other, with journal, logs and audit record')
    .usage('[options] --on <selector> -- <command> [arguments...]')
    .argument('<argv...>', 'the command and its arguments, handed on as they are (no shell)')
    .requiredOption('--on <selector>', 'which assets, e.g. \'asset.labels.role == "web"\'')
    .option('--become', 'as root, through sudo')
    .addOption(new Option('--effect <effect>', 'what the command does').choices(effects))
    .addOption(new Option('--timeout <duration>', 'for each host, e.g. 90, 30s, 5m').argParser(parseDurationSeconds))
    .addOption(new Option('--max-concurrency <n>', 'hosts at once').argParser(wholeNumber(1, 1000)))
    .option('--allow-empty', 'accept that no target matches')
    .option('--reason <text>', 'why, for the audit log')
    .option('--idempotency-key <key>', 'the same key and request give the same run')
    .option('-f, --follow', 'wait, and show what the hosts write; the default where stdout is a terminal')
    .option('--no-follow', 'only start it')
    .action(session.act(execCommand));
}
