import { createdFeedSchema, feedSchema } from '@fettle/contracts';
import type { Command } from 'commander';
import { age } from '../../output/text.js';
import { EXIT } from '../../session/exit-codes.js';
import { withApi, withSpace } from '../../session/options.js';
import type { ApiOptions, Session, SpaceOptions } from '../../session/session.js';

const PATH = '/api/v1/schedule-feeds';

/** `fettle schedule feed ...` */
export function addFeedCommands(schedule: Command, session: Session): void {
  const feed = schedule
    .command('feed')
    .description('addresses at which calendar programs read the schedules (iCalendar)');
  withSpace(feed.command('create'))
    .description('make an address and print it: this once. Whoever knows it reads the schedules that you may see')
    .argument('<name>', 'what it is for, e.g. "the phone of Olga"')
    .action(session.act(createFeed));
  withSpace(feed.command('list'))
    .alias('ls')
    .description('list your feeds; who may make tokens sees all')
    .action(session.act(listFeeds));
  withApi(feed.command('revoke'))
    .description('revoke a feed: its address stops working at once')
    .argument('<id>')
    .action(session.act(revokeFeed));
}

async function createFeed(session: Session, name: string, options: SpaceOptions): Promise<number> {
  const client = session.connect(options);
  const feed = await client.post(PATH, createdFeedSchema, { body: { space: options.space, name } });
  const url = new URL(feed.path, client.address.url).href;
  session.output.data(options.output, { ...feed, url }, () => `${url}\n`);
  session.output.note(`Keep it: it is not shown again. Revoke it: fettle schedule feed revoke ${feed.id}`);
  return EXIT.ok;
}

async function listFeeds(session: Session, options: SpaceOptions): Promise<number> {
  const { items } = await session.connect(options).list(PATH, feedSchema, { space: options.space });
  const now = session.host.now();
  session.output.list(
    options.output,
    items,
    [
      { title: 'ID', value: (one) => one.id },
      { title: 'OWNER', value: (one) => one.owner },
      { title: 'CREATED', value: (one) => age(one.createdAt, now) },
      { title: 'USED', value: (one) => (one.lastUsedAt === null ? 'never' : age(one.lastUsedAt, now)) },
      { title: 'NAME', value: (one) => one.name },
    ],
    'No feeds.',
  );
  return EXIT.ok;
}

async function revokeFeed(session: Session, id: string, options: ApiOptions): Promise<number> {
  const feed = await session.connect(options).post(`${PATH}/${encodeURIComponent(id)}/revoke`, feedSchema);
  if (options.output === 'table') session.output.note(`Feed "${feed.name}" of ${feed.owner} is revoked.`);
  else session.output.data(options.output, feed, () => '');
  return EXIT.ok;
}
