import type { Command } from 'commander';
import { collect, withSpace } from '../../session/options.js';
import type { Session } from '../../session/session.js';

export function addPlanCommand(program: Command, session: Session): void {
  withSpace(program.command('plan'))
    .description('show what a run would do on each target, without doing it')
    .argument('[runbook]', 'name of the runbook')
    .option('--input <name=value>', 'an input, as for "run start" (repeatable)', collect)
    .option('--inputs-file <file>', 'inputs as a YAML or JSON object; "-" reads standard input')
    .option('--on <selector>', "narrow the runbook's targets, e.g. 'asset.labels.site == \"ber\"'")
    .option('--runbook-version <version>', 'number or digest of a version; default: the current one')
    .option('--allow-empty', 'accept that no target matches')
    .option('--host <name>', 'only what is done on this target')
    .option('--check', 'ask read-only probes on the targets, and say what would change there')
    .option('--full', 'each rendering by itself, with the names of all targets')
    .option('-f, --file <file>', 'plan a runbook of these documents without a server (repeatable)', collect)
    .option('--target <name[:label=value,...]>', 'with -f: a target that is assumed (repeatable)', collect)
    .action(session.later(async () => (await import('./plan-run.js')).planRun));
}
