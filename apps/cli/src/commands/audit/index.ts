import { auditRecordSchema, type AuditRecordView } from '@fettle/contracts';
import { Option, type Command } from 'commander';
import { EXIT } from '../../session/exit-codes.js';
import { limitOption, outputOption, parseTime, withApi, withSpace } from '../../session/options.js';
import type { ApiOptions, Session, SpaceOptions } from '../../session/session.js';

interface ListOptions extends SpaceOptions {
  readonly action?: string;
  readonly objectKind?: string;
  readonly objectName?: string;
  readonly principal?: string;
  readonly from?: string;
  readonly to?: string;
  readonly limit: number;
  readonly all?: boolean;
}

export function addAuditCommands(program: Command, session: Session): void {
  const audit = program.command('audit').description('who did what, and whether the log of it is whole');
  withSpace(audit.command('list'))
    .alias('ls')
    .description('list records, newest first')
    .option('--action <name>', 'only what begins so: run.start, or run. for all that was done to runs')
    .option('--object-kind <kind>', 'only about this kind of thing, e.g. run')
    .option('--object-name <name>', 'only about this one')
    .option('--principal <name>', 'only by this principal')
    .addOption(new Option('--from <time>', 'from then on, e.g. 2026-11-22 or 2h (ago)').argParser(parseTime))
    .addOption(new Option('--to <time>', 'before then').argParser(parseTime))
    .addOption(limitOption('at most so many', 50))
    .option('--all', 'all of them')
    .action(session.act(listAudit));
  withApi(audit.command('export'))
    .description('print the whole log as NDJSON, for `audit verify --export` elsewhere')
    .action(session.act(exportAudit));
  withApi(audit.command('key'))
    .description("print the log's public key, to note it down or to verify elsewhere")
    .action(session.later(async () => (await import('./verify-audit.js')).printKey));
  audit
    .command('verify')
    .description('find edits, deletions, reordering and truncation of sealed records; exit 1 where there is any')
    .option('--export <file>', 'verify this export, offline; default: what the API exports now')
    .option('--checkpoints <file>', "checkpoints kept outside the database (default: a local stack's own)")
    .option('--key <key>', "the log's public key or a file of it: PEM, or name+hash+base64 (default: ask the API)")
    .option('--origin <name>', "the log's name (default: that of the key or of the first checkpoint)")
    .addOption(outputOption())
    .addOption(new Option('--data-dir <dir>', 'talk to the local stack of this data directory'))
    .action(session.later(async () => (await import('./verify-audit.js')).verifyAudit));
}

async function listAudit(session: Session, options: ListOptions): Promise<number> {
  const { action, from, objectKind, objectName, principal, space, to } = options;
  const query = { action, from, objectKind, objectName, principal, space, to };
  const limit = options.all === true ? undefined : options.limit;
  const client = session.connect(options);
  const { items, hasMore } = await client.list('/api/v1/audit', auditRecordSchema, query, limit);
  session.output.list(
    options.output,
    items,
    [
      { title: 'AT', value: (one) => one.at },
      { title: 'POSITION', value: (one) => one.position ?? 'unsealed', align: 'right' },
      { title: 'BY', value: (one) => one.principal },
      { title: 'ACTION', value: (one) => one.action },
      { title: 'OBJECT', value: (one) => `${one.object.kind} ${one.object.name}` },
      { title: 'DETAIL', value: detailText },
    ],
    'No records.',
  );
  if (hasMore) session.output.note('There are older ones: --limit N or --all shows more.');
  return EXIT.ok;
}

function detailText({ detail }: AuditRecordView): string {
  const { requestId: _id, outcome, ...rest } = detail;
  const text = Object.keys(rest).length === 0 ? '' : JSON.stringify(rest);
  return outcome === 'succeeded' || outcome === undefined ? text : `${JSON.stringify(outcome)} ${text}`;
}

async function exportAudit(session: Session, options: ApiOptions): Promise<number> {
  for await (const chunk of session.connect(options).chunks('/api/v1/audit/export')) {
    session.output.stdout.write(chunk);
    await session.output.drained();
  }
  return EXIT.ok;
}
