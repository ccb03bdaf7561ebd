import { FettleError, type Relation, type SetAssetRequest } from '@fettle/contracts';
import { deleteRelation, insertRelation } from '@fettle/database';
import type { OperationContext } from './context.js';
import { requireAsset } from './read-assets.js';

/** What came of a request: only what was not as asked for already. */
export interface RelationChanges {
  readonly related: readonly Relation[];
  readonly unrelated: readonly Relation[];
}

interface RelationEnd {
  readonly space: string;
  readonly name: string;
  readonly id: string;
}

/**
 * Relates an asset to others of its space that the actor may see, and takes relations away. The caller holds the inventory's
 * lock: two assets related to each other at once would each wait for the other's row.
 * @throws FettleError `not-found` naming the other asset, `invalid-request` for an asset related to itself
 */
export async function setRelations(
  context: OperationContext,
  from: RelationEnd,
  request: Pick<SetAssetRequest, 'relate' | 'unrelate'>,
  source: string,
): Promise<RelationChanges> {
  const { transaction } = context;
  const unrelated: Relation[] = [];
  for (const relation of request.unrelate ?? []) {
    const toId = await otherEnd(context, from, relation);
    if (await deleteRelation(transaction, { fromId: from.id, kind: relation.kind, toId })) unrelated.push(relation);
  }
  const related: Relation[] = [];
  for (const relation of request.relate ?? []) {
    const toId = await otherEnd(context, from, relation);
    const row = { fromId: from.id, kind: relation.kind, toId };
    if (await insertRelation(transaction, row, source)) related.push(relation);
  }
  return { related, unrelated };
}

async function otherEnd(context: OperationContext, from: RelationEnd, { kind, asset }: Relation): Promise<string> {
  if (asset === from.name) {
    throw new FettleError({
      code: 'invalid-request',
      message: `Asset "${asset}" cannot stand in the relation "${kind}" to itself.`,
      remedy: 'Name another asset.',
    });
  }
  const { id } = await requireAsset(context, 'asset:read', { space: from.space, name: asset });
  return id;
}
