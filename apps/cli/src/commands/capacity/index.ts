import { capacitySchemaOfKey, runSummarySchema, type CapacityOfKey } from '@fettle/contracts';
import type { Command } from 'commander';
import { age } from '../../output/text.js';
import { EXIT } from '../../session/exit-codes.js';
import { requireRunId, withApi, withSpace } from '../../session/options.js';
import type { ApiOptions, Session, SpaceOptions } from '../../session/session.js';

export function addCapacityCommands(program: Command, session: Session): void {
  const capacity = program
    .command('capacity')
    .description('named things that runs share: who holds them, and who waits');
  withSpace(capacity.command('list'))
    .alias('ls')
    .description('list keys that have a limit or are in use; limits are set by documents of the kind Capacity')
    .action(session.act(listCapacity));
  withSpace(capacity.command('show'))
    .description('show who holds a key, and the queue')
    .argument('<key>', 'for example site:ber')
    .action(session.act(showCapacity));
  withApi(capacity.command('free'))
    .description('give back what is kept for a run that has ended with a step that may still be at work')
    .argument('<run>')
    .requiredOption('--reason <text>', 'how you know that nothing of it is at work any more')
    .action(session.act(freeCapacity));
}

async function listCapacity(session: Session, options: SpaceOptions): Promise<number> {
  const { items } = await session
    .connect(options)
    .list('/api/v1/capacity', capacitySchemaOfKey, { space: options.space });
  const now = session.host.now();
  session.output.list(
    options.output,
    items,
    [
      { title: 'KEY', value: (one) => one.key },
      { title: 'USED', value: (one) => one.used, align: 'right' },
      { title: 'LIMIT', value: (one) => one.limit, align: 'right' },
      { title: 'WAITING', value: (one) => one.queue.length, align: 'right' },
      { title: 'FIRST WAITS', value: (one) => (one.queue[0] === undefined ? '' : age(one.queue[0].since, now)) },
      { title: 'DOCUMENT', value: (one) => one.document },
    ],
    'No capacity is limited or in use.',
  );
  return EXIT.ok;
}

async function showCapacity(session: Session, key: string, options: SpaceOptions): Promise<number> {
  const path = `/api/v1/capacity/${encodeURIComponent(key)}`;
  const found = await session.connect(options).get(path, capacitySchemaOfKey, { space: options.space });
  session.output.data(options.output, found, () => shown(session, found));
  return EXIT.ok;
}

function shown({ output, host }: Session, found: CapacityOfKey): string {
  const now = host.now();
  const head = output.fields([
    ['key', found.key],
    ['used', `${found.used} of ${found.limit}`],
    ['document', found.document ?? 'none: one at a time'],
  ]);
  const holders =
    found.holders.length === 0
      ? ''
      : `\n${output.table(found.holders, [
          { title: 'HELD BY', value: (one) => one.runId },
          { title: 'RUNBOOK', value: (one) => one.runbook },
          { title: 'STEP', value: (one) => stepText(one.path) },
          { title: 'UNITS', value: (one) => one.units, align: 'right' },
          { title: 'FOR', value: (one) => age(one.since, now) },
          { title: 'NOTE', value: (one) => (one.keptUntil === null ? '' : `ended; kept until ${one.keptUntil}`) },
        ])}`;
  const queue =
    found.queue.length === 0
      ? ''
      : `\n${output.table(found.queue, [
          { title: 'PLACE', value: (one) => one.position, align: 'right' },
          { title: 'WAITS', value: (one) => one.runId },
          { title: 'RUNBOOK', value: (one) => one.runbook },
          { title: 'STEP', value: (one) => stepText(one.path) },
          { title: 'UNITS', value: (one) => one.units, align: 'right' },
          { title: 'PRIORITY', value: (one) => one.priority, align: 'right' },
          { title: 'FOR', value: (one) => age(one.since, now) },
        ])}`;
  return `${head}${holders}${queue}`;
}

function stepText(path: string): string {
  return path === '' ? '(the whole run)' : path;
}

async function freeCapacity(
  session: Session,
  idText: string,
  options: ApiOptions & { readonly reason: string },
): Promise<number> {
  const id = requireRunId(idText);
  await session
    .connect(options)
    .post(`/api/v1/runs/${id}/free-capacity`, runSummarySchema, { body: { reason: options.reason } });
  session.output.note(`What was kept for run ${id} is given back.`);
  return EXIT.ok;
}
