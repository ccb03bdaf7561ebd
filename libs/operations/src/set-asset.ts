import { FettleError, type Asset, type Endpoint, type SetAssetRequest } from '@fettle/contracts';
import { findAssetRow, saveAsset, saveEndpoint, type AssetRow, type AssetWrite } from '@fettle/database';
import { uuidv7 } from 'uuidv7';
import type { OperationContext } from './context.js';
import { assetView, requireAsset } from './read-assets.js';
import { recordAudit } from './record-audit.js';
import { requireUnnarrowed } from './require-unnarrowed.js';

const columns = ['kind', 'site', 'owner', 'criticality', 'lifecycle'] as const;
const PERSON = 'person';

/**
 * Creates an asset or changes what is given; what a person sets belongs to him from then on, and no import overwrites it.
 * @throws FettleError `not-found` for one that the actor may not see, `invalid-request`
 */
export async function setAsset(
  context: OperationContext,
  key: { readonly space: string; readonly name: string },
  request: SetAssetRequest,
): Promise<Asset> {
  const { transaction } = context;
  const existing = await findAssetRow(transaction, key.space, key.name);
  // A new asset cannot be measured by a selector beforehand, so whoever is narrowed to some may create none.
  if (!existing) requireUnnarrowed(context, 'asset:write', key.space);
  const before = existing ? await requireAsset(context, 'asset:write', key, { lock: true }) : null;
  if (request.quarantined === false && request.reason === undefined) {
    throw new FettleError({
      code: 'invalid-request',
      message: 'Lifting a quarantine needs a reason.',
      remedy: 'Say why it is safe, with --reason.',
    });
  }
  const asset = mergeAsset(key, before, request);
  await saveAsset(transaction, asset);
  if (request.endpoint !== undefined) {
    await saveEndpoint(
      transaction,
      asset.id,
      mergeEndpoint(key.name, before?.endpoint ?? null, request.endpoint),
      PERSON,
    );
  }
  const after = (await findAssetRow(transaction, key.space, key.name))!;
  await recordAudit(context, {
    action: before ? 'asset.set' : 'asset.create',
    space: key.space,
    object: { kind: 'asset', name: key.name, id: asset.id },
    detail: {
      before: before ? changedPart(before, after) : null,
      after: changedPart(after, before),
      reason: request.reason ?? null,
    },
  });
  return assetView(after);
}

function mergeAsset(
  key: { readonly space: string; readonly name: string },
  before: AssetRow | null,
  request: SetAssetRequest,
): AssetWrite {
  const sources: Record<string, string> = { ...before?.sources };
  for (const column of columns) if (request[column] !== undefined) sources[column] = PERSON;
  const labels: Record<string, string> = { ...before?.labels };
  for (const [name, value] of Object.entries(request.labels ?? {})) {
    // A label that a person removed stays removed: the source remembers it.
    sources[`label.${name}`] = PERSON;
    if (value === null) delete labels[name];
    else labels[name] = value;
  }
  const pick = <Column extends (typeof columns)[number]>(column: Column): AssetRow[Column] | null | undefined =>
    request[column] === undefined ? before?.[column] : (request[column] as AssetRow[Column] | null);
  return {
    id: before?.id ?? uuidv7(),
    ...key,
    kind: pick('kind') ?? 'server',
    site: pick('site') ?? null,
    owner: pick('owner') ?? null,
    criticality: pick('criticality') ?? null,
    lifecycle: pick('lifecycle') ?? 'active',
    labels,
    sources,
    isQuarantined: before !== null && before.quarantinedAt !== null && request.quarantined !== false,
  };
}

function mergeEndpoint(
  name: string,
  before: Endpoint | null,
  given: NonNullable<SetAssetRequest['endpoint']>,
): Endpoint {
  return {
    transport: 'ssh',
    address: given.address ?? before?.address ?? name,
    port: given.port ?? before?.port ?? 22,
    username: given.username === undefined ? (before?.username ?? null) : given.username,
    credential: given.credential === undefined ? (before?.credential ?? null) : given.credential,
    hostKeys: given.hostKeys ?? before?.hostKeys ?? [],
  };
}

/** Members of `one` that differ in `other`, for the audit record. */
function changedPart(one: AssetRow, other: AssetRow | null): Record<string, unknown> {
  const names = [...columns, 'labels', 'endpoint', 'quarantineReason'] as const;
  const differing = names.filter((name) => other === null || JSON.stringify(one[name]) !== JSON.stringify(other[name]));
  return Object.fromEntries(differing.map((name) => [name, one[name] ?? null]));
}

/** Takes an asset out of use; it stays in the inventory and is never a target again. */
export function retireAsset(
  context: OperationContext,
  key: { readonly space: string; readonly name: string },
  request: { readonly reason?: string | undefined },
): Promise<Asset> {
  return setAsset(context, key, {
    lifecycle: 'retired',
    ...(request.reason === undefined ? {} : { reason: request.reason }),
  });
}
