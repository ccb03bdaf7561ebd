import {
  FettleError,
  notFoundError,
  type CreatedFeed,
  type CreateFeedRequest,
  type Feed,
  type Page,
  type PageQuery,
} from '@fettle/contracts';
import {
  findFeed,
  findPrincipalById,
  insertFeed,
  listFeedRows,
  lockPrincipals,
  revokeFeedRow,
  type StoredFeed,
} from '@fettle/database';
import { createToken, decide } from '@fettle/security';
import type { OperationContext } from './context.js';
import { decodeCursor, pageFrom } from './cursor.js';
import { recordAudit } from './record-audit.js';

/** Feeds of one principal in one space. */
export const MAX_FEEDS_EACH = 20;

export function feedPath(token: string): string {
  return `/api/v1/feeds/schedules/${token}.ics`;
}

function feedView({ id, space, name, owner, createdAt, lastUsedAt, revokedAt }: StoredFeed): Feed {
  return {
    id,
    space,
    name,
    owner,
    createdAt: createdAt.toISOString(),
    lastUsedAt: lastUsedAt?.toISOString() ?? null,
    revokedAt: revokedAt?.toISOString() ?? null,
  };
}

/**
 * Makes an address at which calendar programs, which cannot sign in, read the schedules of a space with the actor's rights. The token
 * in it is in the answer and nowhere else, only its hash is stored.
 * @throws FettleError `limit-exceeded`, `denied`
 */
export async function createFeed(context: OperationContext, request: CreateFeedRequest): Promise<CreatedFeed> {
  const { transaction, actor } = context;
  const { space, name } = request;
  const { principalId } = actor;
  if (principalId === null) throw new FettleError({ code: 'denied', message: 'A feed belongs to a principal.' });
  await lockPrincipals(transaction);
  const own = await listFeedRows(transaction, { space, principalId, before: null, limit: MAX_FEEDS_EACH });
  if (own.length >= MAX_FEEDS_EACH) {
    throw new FettleError({
      code: 'limit-exceeded',
      message: `You have ${MAX_FEEDS_EACH} feeds in the space ${space}, the most there may be.`,
      remedy: 'Revoke one that is not used any more: fettle schedule feed list',
    });
  }
  const created = createToken();
  await insertFeed(transaction, { id: created.id, space, principalId, name, hash: created.hash });
  await recordAudit(context, {
    action: 'feed.create',
    space,
    object: { kind: 'feed', name, id: created.id },
    detail: { owner: actor.name },
  });
  const stored = await findFeed(transaction, created.id);
  if (!stored) throw new FettleError({ code: 'not-found', message: 'The feed that was created is gone.' });
  return { ...feedView(stored), path: feedPath(created.token) };
}

/** The actor's feeds, newest first; who may make tokens sees everybody's. Revoked ones are left out. */
export async function listFeeds(context: OperationContext, query: PageQuery): Promise<Page<Feed>> {
  const { space, limit } = query;
  const rows = await listFeedRows(context.transaction, {
    space,
    principalId: managesAll(context, space) ? null : context.actor.principalId,
    before: decodeCursor(query.after, ['uuid'])?.[0] ?? null,
    limit: limit + 1,
  });
  return pageFrom(rows, limit, feedView, (row) => [row.id]);
}

/** Revokes a feed for good; revoking it again changes nothing. @throws FettleError `not-found` also for that of somebody else. */
export async function revokeFeed(context: OperationContext, id: string): Promise<Feed> {
  const { transaction, actor } = context;
  const feed = await findFeed(transaction, id);
  if (!feed || (feed.principalId !== actor.principalId && !managesAll(context, feed.space)))
    throw notFoundError('feed', id, { remedy: 'See `fettle schedule feed list`.' });
  if (feed.revokedAt !== null) return feedView(feed);
  await revokeFeedRow(transaction, id);
  await recordAudit(context, {
    action: 'feed.revoke',
    space: feed.space,
    object: { kind: 'feed', name: feed.name, id },
    detail: { owner: feed.owner },
  });
  return feedView((await findFeed(transaction, id)) ?? feed);
}

function managesAll(context: OperationContext, space: string): boolean {
  return context.scopeOf('token:write', space) === null;
}

/** Whether the owner may still read the schedules of the feed's space. */
export async function ownerMayRead(context: Pick<OperationContext, 'transaction'>, feed: StoredFeed): Promise<boolean> {
  const owner = await findPrincipalById(context.transaction, feed.principalId);
  if (!owner || owner.revokedAt !== null) return false;
  return decide({ bindings: owner.bindings, permission: 'document:read', space: feed.space }).allowed;
}
