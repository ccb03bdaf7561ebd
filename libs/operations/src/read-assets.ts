import { notFoundError, type Asset, type AssetDetail, type AssetPage, type ListAssetsQuery } from '@fettle/contracts';
import {
  ASSET_CONDITION_FIRST_PARAMETER,
  assetFulfils,
  countUndeterminedAssets,
  findAssetRow,
  listAssetRows,
  readAssetRelated,
  UNDETERMINED_FIRST_PARAMETER,
  type AssetRow,
} from '@fettle/database';
import { assetColumnMap, compileSelector, parseSelector, type Selector } from '@fettle/expression';
import type { Permission } from '@fettle/security';
import { assetCondition } from './asset-scope.js';
import type { OperationContext } from './context.js';
import { decodeCursor, pageFrom } from './cursor.js';

/** Facts, identifiers and relations in one answer, of each. */
const MAX_SHOWN_RELATED = 1000;
const relatedLists = ['facts', 'identifiers', 'relations'] as const;

export function assetView(row: AssetRow): Asset {
  const { quarantinedAt, quarantineReason, sources: _sources, ...rest } = row;
  return {
    ...(rest as unknown as Asset),
    quarantine: quarantinedAt === null ? null : { since: quarantinedAt.toISOString(), reason: quarantineReason ?? '' },
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  };
}

/** Assets that the actor may see, by name; a selector narrows them. */
export async function listAssets(context: OperationContext, query: ListAssetsQuery): Promise<AssetPage> {
  const { transaction } = context;
  const { space, limit, retired } = query;
  const selector = query.on === undefined ? null : parseSelector(query.on, { origin: 'on' });
  const allowed = context.scopeOf('asset:read', space);
  const rows = await listAssetRows(transaction, {
    space,
    after: decodeCursor(query.after, ['string'])?.[0] ?? null,
    limit: limit + 1,
    retired,
    condition: assetCondition(selector, allowed, ASSET_CONDITION_FIRST_PARAMETER),
  });
  const page = pageFrom(rows, limit, assetView, (row) => [row.name]);
  if (!query.undetermined) return { ...page, items: [...page.items] };
  const undetermined = selector === null ? 0 : await countUndetermined(context, selector, query);
  return { ...page, items: [...page.items], undetermined };
}

/** Among the assets that the actor may see: for how many the selector is neither true nor false. */
function countUndetermined(
  context: OperationContext,
  selector: Selector,
  { space, retired }: Pick<ListAssetsQuery, 'space' | 'retired'>,
): Promise<number> {
  const { sql, parameters } = compileSelector(selector, assetColumnMap, {
    firstParameter: UNDETERMINED_FIRST_PARAMETER,
  });
  const among = assetCondition(
    null,
    context.scopeOf('asset:read', space),
    UNDETERMINED_FIRST_PARAMETER + parameters.length,
  );
  return countUndeterminedAssets(context.transaction, { space, retired, value: { sql, parameters }, among });
}

/** An asset that the actor has the permission for; one outside his selectors is as if it were not there. */
export async function requireAsset(
  context: OperationContext,
  permission: Permission,
  key: { readonly space: string; readonly name: string },
  options: { readonly lock?: boolean } = {},
): Promise<AssetRow> {
  const row = await findAssetRow(context.transaction, key.space, key.name, options);
  const condition = assetCondition(null, context.scopeOf(permission, key.space), 2);
  if (row && (condition === null || (await assetFulfils(context.transaction, row.id, condition)))) return row;
  throw notFoundError('asset', key.name, {
    space: key.space,
    remedy: 'See `fettle asset list`; it shows what your roles cover.',
  });
}

export async function getAsset(
  context: OperationContext,
  key: { readonly space: string; readonly name: string },
): Promise<AssetDetail> {
  const row = await requireAsset(context, 'asset:read', key);
  // Names of assets beyond the actor's selectors are not told by those that they are related to.
  const among = assetCondition(null, context.scopeOf('asset:read', key.space), 3);
  // One more than is shown tells whether there are more.
  const related = await readAssetRelated(context.transaction, row.id, MAX_SHOWN_RELATED + 1, among);
  const truncated = relatedLists.filter((list) => related[list].length > MAX_SHOWN_RELATED);
  return {
    ...assetView(row),
    facts: Object.fromEntries(
      related.facts
        .slice(0, MAX_SHOWN_RELATED)
        .map(({ name, value, source, observedAt }) => [name, { value, source, observedAt: observedAt.toISOString() }]),
    ),
    identifiers: related.identifiers.slice(0, MAX_SHOWN_RELATED),
    relations: related.relations.slice(0, MAX_SHOWN_RELATED),
    sources: row.sources,
    ...(truncated.length === 0 ? {} : { truncated }),
  };
}
