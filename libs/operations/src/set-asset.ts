import { isDeepStrictEqual } from 'node:util';
import { FettleError, type Asset, type Endpoint, type SetAssetRequest } from '@fettle/contracts';
import {
  findAssetRow,
  findCredentialRow,
  lockInventory,
  saveAsset,
  saveEndpoint,
  type AssetRow,
  type AssetWrite,
} from '@fettle/database';
import { uuidv7 } from 'uuidv7';
import type { OperationContext } from './context.js';
import { assetView, requireAsset } from './read-assets.js';
import { requireJumpPath } from './require-jump-path.js';
import { recordAudit } from './record-audit.js';
import { setRelations } from './set-relations.js';

const columns = ['kind', 'site', 'owner', 'criticality', 'lifecycle'] as const;
const PERSON = 'person';

/**
 * Creates an asset or changes what is given; what a person sets belongs to him from then on, and no import overwrites it.
 * Setting what is set already changes and records nothing.
 * @throws FettleError `not-found` for one that the actor may not see or may not create, `invalid-request`, `unknown-value` for a
 * credential that does not exist
 */
export async function setAsset(
  context: OperationContext,
  key: { readonly space: string; readonly name: string },
  request: SetAssetRequest,
): Promise<Asset> {
  const { transaction } = context;
  if (request.quarantined === false && request.reason === undefined) {
    throw new FettleError({
      code: 'invalid-request',
      message: 'Lifting a quarantine needs a reason.',
      remedy: 'Say why it is safe, with --reason.',
    });
  }
  const mayTouchOthers = [request.endpoint, request.relate, request.unrelate].some((part) => part !== undefined);
  if (mayTouchOthers) await lockInventory(transaction, key.space);
  const before = await findOrReserve(context, key);
  const asset = mergeAsset(key, before, request);
  const endpoint =
    request.endpoint === undefined ? null : mergeEndpoint(key.name, before?.endpoint ?? null, request.endpoint);
  await requireCredential(context, key.space, before?.endpoint ?? null, endpoint);
  if (endpoint !== null && endpoint.jump !== (before?.endpoint?.jump ?? null))
    await requireJumpPath(context, key, endpoint);
  const isUnchanged = before !== null && isSame(before, asset, endpoint);
  if (!isUnchanged) {
    await saveAsset(transaction, asset);
    if (endpoint !== null) await saveEndpoint(transaction, asset.id, endpoint, PERSON);
  }
  const relations = await setRelations(context, { ...key, id: asset.id }, request, PERSON);
  if (isUnchanged && relations.related.length + relations.unrelated.length === 0) return assetView(before);
  const after = (await findAssetRow(transaction, key.space, key.name))!;
  await recordAudit(context, {
    action: before ? 'asset.set' : 'asset.create',
    space: key.space,
    object: { kind: 'asset', name: key.name, id: asset.id },
    detail: {
      before: before ? changedPart(before, after) : null,
      after: changedPart(after, before),
      ...(relations.related.length === 0 ? {} : { related: relations.related }),
      ...(relations.unrelated.length === 0 ? {} : { unrelated: relations.unrelated }),
      reason: request.reason ?? null,
    },
  });
  return assetView(after);
}

/** The asset, locked; null where there is none and the actor may create it, with the space's names held until the end. */
async function findOrReserve(
  context: OperationContext,
  key: { readonly space: string; readonly name: string },
): Promise<AssetRow | null> {
  const { transaction } = context;
  // A new asset cannot be measured by a selector beforehand, so whoever is narrowed to some may create none; he is told the
  // same as for one that he may not see.
  const mayCreate = context.scopeOf('asset:write', key.space) === null;
  if (mayCreate && (await findAssetRow(transaction, key.space, key.name)) === null) {
    await lockInventory(transaction, key.space);
    if ((await findAssetRow(transaction, key.space, key.name)) === null) return null;
  }
  return requireAsset(context, 'asset:write', key, { lock: true });
}

/** A name that is new to the asset must be that of a credential: a mistyped one would show only when a run fails to sign in. */
async function requireCredential(
  { transaction }: OperationContext,
  space: string,
  before: Endpoint | null,
  endpoint: Endpoint | null,
): Promise<void> {
  const name = endpoint?.credential ?? null;
  if (name === null || name === before?.credential) return;
  if ((await findCredentialRow(transaction, space, name)) !== null) return;
  throw new FettleError({
    code: 'unknown-value',
    message: `There is no credential "${name}" in space "${space}".`,
    remedy: `See \`fettle credential list\`, or set it first: fettle credential set ${name}`,
  });
}

function isSame(before: AssetRow, asset: AssetWrite, endpoint: Endpoint | null): boolean {
  const sameColumns = columns.every((column) => before[column] === asset[column]);
  return (
    sameColumns &&
    isDeepStrictEqual(before.labels, asset.labels) &&
    isDeepStrictEqual(before.sources, asset.sources) &&
    (endpoint === null || isDeepStrictEqual(before.endpoint, endpoint)) &&
    asset.isQuarantined === (before.quarantinedAt !== null)
  );
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
  for (const [field, value] of Object.entries(request.endpoint ?? {})) {
    if (value !== undefined) sources[`endpoint.${field}`] = PERSON;
  }
  const pick = <Column extends (typeof columns)[number]>(column: Column): AssetRow[Column] | null | undefined =>
    request[column] === undefined ? before?.[column] : request[column];
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
    jump: given.jump === undefined ? (before?.jump ?? null) : given.jump,
  };
}

/** Members of `one` that differ in `other`, for the audit record. */
function changedPart(one: AssetRow, other: AssetRow | null): Record<string, unknown> {
  const names = [...columns, 'labels', 'endpoint', 'quarantineReason'] as const;
  const differing = names.filter((name) => other === null || JSON.stringify(one[name]) !== JSON.stringify(other[name]));
  return Object.fromEntries(differing.map((name) => [name, one[name] ?? null]));
}
