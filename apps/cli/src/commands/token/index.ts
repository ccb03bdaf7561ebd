import { createdTokenSchema, durationMs, durationSchema, tokenSchema } from '@fettle/contracts';
import { Argument, InvalidArgumentError, Option, type Command } from 'commander';
import { age } from '../../output/text.js';
import { EXIT } from '../../session/exit-codes.js';
import { parseName, withApi, withSpace } from '../../session/options.js';
import type { ApiOptions, Session, SpaceOptions } from '../../session/session.js';

interface CreateOptions extends ApiOptions {
  readonly name: string;
  readonly expires?: string;
}

export function addTokenCommands(program: Command, session: Session): void {
  const token = program.command('token').description('tokens with which principals sign in');
  withApi(token.command('create'))
    .description('create a token and print it: this once')
    .addArgument(new Argument('<principal>').argParser(parseName))
    .requiredOption('--name <text>', 'what it is for')
    .addOption(new Option('--expires <when>', 'how long it is good, e.g. 90d, or until when').argParser(parseExpiry))
    .action(session.act(createToken));
  withSpace(token.command('list'))
    .alias('ls')
    .description('list tokens; their texts are stored nowhere')
    .addOption(new Option('--principal <name>', 'only tokens of this principal').argParser(parseName))
    .action(session.act(listTokens));
  withApi(token.command('revoke')).description('revoke a token').argument('<id>').action(session.act(revokeToken));
}

function parseExpiry(text: string): string {
  const duration = durationSchema.safeParse(text);
  const atMs = duration.success ? Date.now() + durationMs(duration.data) : Date.parse(text);
  if (!Number.isNaN(atMs) && Math.abs(atMs) <= 8.64e15) return new Date(atMs).toISOString();
  throw new InvalidArgumentError('It must be how long, such as 12h or 90d, or a time such as 2027-01-01T00:00:00Z.');
}

async function createToken(session: Session, principal: string, options: CreateOptions): Promise<number> {
  const token = await session.connect(options).post('/api/v1/tokens', createdTokenSchema, {
    body: { principal, name: options.name, ...(options.expires === undefined ? {} : { expiresAt: options.expires }) },
  });
  session.output.data(options.output, token, () => `${token.token}\n`);
  session.output.note(
    `Keep it: it is not shown again. Use it as FETTLE_TOKEN. Revoke it: fettle token revoke ${token.id}`,
  );
  return EXIT.ok;
}

async function listTokens(session: Session, options: SpaceOptions & { readonly principal?: string }): Promise<number> {
  const { principal, space } = options;
  const { items } = await session.connect(options).list('/api/v1/tokens', tokenSchema, { principal, space });
  const now = session.host.now();
  session.output.list(
    options.output,
    items,
    [
      { title: 'ID', value: (one) => one.id },
      { title: 'PRINCIPAL', value: (one) => one.principal },
      { title: 'CREATED', value: (one) => age(one.createdAt, now) },
      { title: 'USED', value: (one) => (one.lastUsedAt === null ? 'never' : age(one.lastUsedAt, now)) },
      { title: 'EXPIRES', value: (one) => one.expiresAt },
      { title: 'REVOKED', value: (one) => age(one.revokedAt, now) },
      { title: 'NAME', value: (one) => one.name },
    ],
    'No tokens.',
  );
  return EXIT.ok;
}

async function revokeToken(session: Session, id: string, options: ApiOptions): Promise<number> {
  const path = `/api/v1/tokens/${encodeURIComponent(id)}/revoke`;
  const token = await session.connect(options).post(path, tokenSchema);
  if (options.output === 'table') session.output.note(`Token ${token.name} of ${token.principal} is revoked.`);
  else session.output.data(options.output, token, () => '');
  return EXIT.ok;
}
