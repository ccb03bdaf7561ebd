import { approvalStates, planDigestSchema } from '@fettle/contracts';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { limitOption, withApi, withSpace } from '../../session/options.js';
import type { Session } from '../../session/session.js';
import { approve, reject } from './decide-approval.js';
import { listApprovals } from './list-approvals.js';

export function addApprovalCommands(program: Command, session: Session): void {
  const approval = program.command('approval').description('decide what runs ask people for');
  withSpace(approval.command('list'))
    .alias('ls')
    .description('list what is open, or what became of it')
    .option('--mine', 'only what you may decide')
    .addOption(new Option('--state <state>', 'only in this state').choices(approvalStates).conflicts('mine'))
    .option('--run <id>', 'only of this run')
    .addOption(limitOption('at most so many', 20))
    .option('--all', 'in every state, and all of them')
    .action(session.act(listApprovals));
  withApi(approval.command('show'))
    .description('show what would be done, who may decide and who has')
    .argument('<id>', 'id of the approval')
    .option('--full', 'each rendering by itself, with the names of all targets')
    .action(session.later(async () => (await import('./show-approval.js')).showApproval));
  withApi(approval.command('approve'))
    .description('say yes: the run goes on once enough people have')
    .argument('<id>', 'id of the approval')
    .option('--reason <text>', 'why, for the audit log')
    .option(
      '--plan-digest <digest>',
      'of the plan that you looked at: refused if another one is asked about',
      parseDigest,
    )
    .action(session.act(approve));
  withApi(approval.command('reject'))
    .description('say no: one is enough, and the step fails')
    .argument('<id>', 'id of the approval')
    .requiredOption('--reason <text>', 'why: the run and the audit log keep it')
    .action(session.act(reject));
}

function parseDigest(text: string): string {
  if (planDigestSchema.safeParse(text).success) return text;
  throw new InvalidArgumentError('It must be the digest of a plan: "sha256:" and 64 hex digits.');
}
