import { whoamiSchema, type Whoami } from '@fettle/contracts';
import type { Command } from 'commander';
import { EXIT } from '../../session/exit-codes.js';
import { withSpace } from '../../session/options.js';
import type { Session, SpaceOptions } from '../../session/session.js';

export function addWhoamiCommand(program: Command, session: Session): void {
  withSpace(program.command('whoami'))
    .description('show who you are, where, and what you may do')
    .action(session.act(whoami));
}

async function whoami(session: Session, options: SpaceOptions): Promise<number> {
  const client = session.connect(options);
  const me = await client.get('/api/v1/whoami', whoamiSchema, { space: options.space });
  const { output } = session;
  output.data(options.output, me, () =>
    output.fields([
      ['name', me.name],
      ['kind', me.kind],
      ['api', `${client.address.url} (${client.address.origin})`],
      ...me.bindings.map((binding) => ['role', bindingText(binding)] as const),
      [`may in ${options.space}`, me.permissions.length === 0 ? 'nothing' : me.permissions.join(', ')],
    ]),
  );
  return EXIT.ok;
}

/** `operator in default where asset.labels.site == "ber"`. */
export function bindingText({ role, space, selector }: Whoami['bindings'][number]): string {
  return `${role} in ${space === '*' ? 'all spaces' : space}${selector === null ? '' : ` where ${selector}`}`;
}
