import { credentialSchema, rotateResultSchema, type Credential } from '@fettle/contracts';
import { Argument, Option, type Command } from 'commander';
import { age, plural } from '../../output/text.js';
import { askSecret } from '../../session/ask-secret.js';
import { UsageError } from '../../session/errors.js';
import { EXIT } from '../../session/exit-codes.js';
import { parseName, withSpace } from '../../session/options.js';
import { readText } from '../../session/read-input.js';
import type { Session, SpaceOptions } from '../../session/session.js';

export function addCredentialCommands(program: Command, session: Session): void {
  const credential = program
    .command('credential')
    .description('secrets for hosts, sealed; their values never come back');
  withSpace(credential.command('set'))
    .description('store a secret from standard input, or typed without echo at a terminal; never as an argument')
    .addArgument(new Argument('<name>').argParser(parseName))
    .addOption(new Option('--kind <kind>').choices(['ssh-private-key', 'password', 'token']).makeOptionMandatory())
    .option('--username <name>', 'user that it belongs to')
    .option('--from-file <file>', 'read the secret from a file')
    .action(session.act(setCredential));
  withSpace(credential.command('list'))
    .alias('ls')
    .description('list credentials')
    .action(session.act(listCredentials));
  withSpace(credential.command('rotate'))
    .description('seal what older keys sealed with the current sealing key')
    .action(session.act(rotateCredentials));
}

interface SetOptions extends SpaceOptions {
  readonly kind: Credential['kind'];
  readonly username?: string;
  readonly fromFile?: string;
}

async function setCredential(session: Session, name: string, options: SetOptions): Promise<number> {
  const { host, output } = session;
  const client = session.connect(options);
  const text =
    options.fromFile === undefined
      ? await askSecret(host, `Value of ${name} (${options.kind})`)
      : await readText(host, options.fromFile);
  // `echo secret | fettle ...` adds a newline that nobody means; a private key needs its last one.
  const value = options.kind === 'ssh-private-key' ? text : text.replace(/\r?\n$/, '');
  if (value === '') throw new UsageError('The secret is empty: give it on standard input.');
  if (options.kind === 'ssh-private-key') (await import('./check-private-key.js')).checkPrivateKey(value);
  const credential = await client.request('PUT', `/api/v1/credentials/${name}`, credentialSchema, {
    query: { space: options.space },
    body: { kind: options.kind, username: options.username ?? null, value },
  });
  if (options.output === 'table') output.note(`Credential ${name} is sealed (version ${credential.version}).`);
  else output.data(options.output, credential, () => '');
  return EXIT.ok;
}

async function listCredentials(session: Session, options: SpaceOptions): Promise<number> {
  const { items } = await session
    .connect(options)
    .list('/api/v1/credentials', credentialSchema, { space: options.space });
  const now = session.host.now();
  session.output.list(
    options.output,
    items,
    [
      { title: 'NAME', value: (one) => one.name },
      { title: 'KIND', value: (one) => one.kind },
      { title: 'USER', value: (one) => one.username },
      { title: 'VERSION', value: (one) => one.version, align: 'right' },
      { title: 'KEY', value: (one) => one.keyId },
      { title: 'CHANGED', value: (one) => age(one.updatedAt, now) },
    ],
    'No credentials.',
  );
  return EXIT.ok;
}

/** More rounds than this: something rotates against us. */
const MAX_ROUNDS = 10_000;

async function rotateCredentials(session: Session, options: SpaceOptions): Promise<number> {
  const client = session.connect(options);
  let rotated = 0;
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const result = await client.post('/api/v1/credentials/rotate', rotateResultSchema);
    rotated += result.rotated;
    if (result.more) continue;
    session.output.data(options.output, { rotated, keyId: result.keyId }, () =>
      session.output.fields([
        ['rotated', rotated],
        ['key', result.keyId],
      ]),
    );
    return EXIT.ok;
  }
  session.output.note(`${plural(rotated, 'credential')} sealed anew, and still there are more: run it again.`);
  return EXIT.error;
}
