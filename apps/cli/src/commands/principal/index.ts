import { principalSchema, roles, type CreatePrincipalRequest, type Role } from '@fettle/contracts';
import { Argument, InvalidArgumentError, Option, type Command } from 'commander';
import { age } from '../../output/text.js';
import { UsageError } from '../../session/errors.js';
import { EXIT } from '../../session/exit-codes.js';
import { parseName, withSpace } from '../../session/options.js';
import type { Session, SpaceOptions } from '../../session/session.js';
import { bindingText } from '../whoami/index.js';

interface RoleInSpace {
  readonly role: Role;
  /** Absent: the space of the command. */
  readonly space?: string;
}

interface CreateOptions extends SpaceOptions {
  readonly role?: readonly RoleInSpace[];
  readonly kind: 'person' | 'service';
  readonly on?: string;
}

export function addPrincipalCommands(program: Command, session: Session): void {
  const principal = program.command('principal').description('people and services, and what they may do');
  withSpace(principal.command('create'))
    .description('create a principal with roles; `fettle token create` gives it a token')
    .addArgument(new Argument('<name>').argParser(parseName))
    .option('--role <role[@space]>', `${roles.join(', ')} (repeatable)`, collectRole)
    .addOption(new Option('--kind <kind>').choices(['person', 'service']).default('person'))
    .option('--on <selector>', 'the roles hold only on the assets selected')
    .action(session.act(createPrincipal));
  withSpace(principal.command('list')).alias('ls').description('list principals').action(session.act(listPrincipals));
  withSpace(principal.command('revoke'))
    .description('take all rights and tokens from a principal, for good')
    .argument('<name>')
    .action(session.act(revokePrincipal));
}

function collectRole(text: string, previous: readonly RoleInSpace[] | undefined): RoleInSpace[] {
  const [name, space] = text.split('@', 2);
  const role = roles.find((known) => known === name);
  if (role === undefined) throw new InvalidArgumentError(`A role is one of ${roles.join(', ')}.`);
  return [...(previous ?? []), space === undefined ? { role } : { role, space: parseName(space) }];
}

async function createPrincipal(session: Session, name: string, options: CreateOptions): Promise<number> {
  if (options.role === undefined) throw new UsageError(`--role is missing: one of ${roles.join(', ')}`);
  const body: CreatePrincipalRequest = {
    name,
    kind: options.kind,
    bindings: options.role.map(({ role, space }) => ({
      role,
      space: space ?? options.space,
      selector: options.on ?? null,
    })),
  };
  const principal = await session.connect(options).post('/api/v1/principals', principalSchema, { body });
  session.output.data(options.output, principal, () => `${principal.name}\n`);
  session.output.note(`Created. A token for it: fettle token create ${name} --name PURPOSE`);
  return EXIT.ok;
}

async function listPrincipals(session: Session, options: SpaceOptions): Promise<number> {
  const { items } = await session
    .connect(options)
    .list('/api/v1/principals', principalSchema, { space: options.space });
  const now = session.host.now();
  session.output.list(
    options.output,
    items,
    [
      { title: 'NAME', value: (one) => one.name },
      { title: 'KIND', value: (one) => one.kind },
      { title: 'CREATED', value: (one) => age(one.createdAt, now) },
      { title: 'REVOKED', value: (one) => age(one.revokedAt, now) },
      { title: 'ROLES', value: (one) => one.bindings.map(bindingText).join('; ') },
    ],
    'No principals.',
  );
  return EXIT.ok;
}

async function revokePrincipal(session: Session, name: string, options: SpaceOptions): Promise<number> {
  const path = `/api/v1/principals/${encodeURIComponent(name)}/revoke`;
  const principal = await session.connect(options).post(path, principalSchema);
  if (options.output === 'table') session.output.note(`Principal ${name} is revoked; its tokens are no good any more.`);
  else session.output.data(options.output, principal, () => '');
  return EXIT.ok;
}
