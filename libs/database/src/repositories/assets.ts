import type { Endpoint } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import type { TargetCondition } from './run-start.js';

export interface AssetRow {
  readonly id: string;
  readonly space: string;
  readonly name: string;
  readonly kind: string;
  readonly site: string | null;
  readonly owner: string | null;
  readonly criticality: string | null;
  readonly lifecycle: string;
  readonly labels: Record<string, string>;
  readonly sources: Record<string, string>;
  readonly quarantinedAt: Date | null;
  readonly quarantineReason: string | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly endpoint: Endpoint | null;
}

/** Namespace of advisory locks; the second key is the space. */
const INVENTORY_LOCK = 7_070_020;

const columns = `a.id, a.space, a.name, a.kind, a.site, a.owner, a.criticality, a.lifecycle, a.labels, a.sources,
  a.quarantined_at AS "quarantinedAt", a.quarantine_reason AS "quarantineReason", a.created_at AS "createdAt",
  a.updated_at AS "updatedAt",
  (SELECT jsonb_build_object('transport', e.transport, 'address', e.address, 'port', e.port, 'username', e.username,
     'credential', e.credential, 'hostKeys', e.host_keys, 'jump', e.jump)
   FROM endpoint e WHERE e.asset_id = a.id AND e.transport = 'ssh') AS endpoint`;

/** First number of a parameter in the condition that `listAssetRows` takes. */
export const ASSET_CONDITION_FIRST_PARAMETER = 5;

/** Assets by name, after the name given, for which the condition on alias `a` holds. */
export async function listAssetRows(
  transaction: Transaction,
  query: {
    readonly space: string;
    readonly after: string | null;
    readonly limit: number;
    readonly retired: boolean;
    readonly condition: TargetCondition | null;
  },
): Promise<AssetRow[]> {
  return transaction.query(
    `SELECT ${columns} FROM asset a
     WHERE a.space = $1 AND ($2::text IS NULL OR a.name > $2) AND ($4 OR a.lifecycle <> 'retired')
       AND (${query.condition?.sql ?? 'true'})
     ORDER BY a.name LIMIT $3`,
    [query.space, query.after, query.limit, query.retired, ...(query.condition?.parameters ?? [])],
  );
}

/** First number of a parameter in the condition that `countAssetRows` takes. */
export const ASSET_COUNT_FIRST_PARAMETER = 2;

/** How many assets of a space fulfil the condition on alias `a`; retired ones are none. */
export async function countAssetRows(
  transaction: Transaction,
  space: string,
  condition: TargetCondition | null,
): Promise<number> {
  const rows: { count: number }[] = await transaction.query(
    `SELECT count(*)::integer AS count FROM asset a
     WHERE a.space = $1 AND a.lifecycle <> 'retired' AND (${condition?.sql ?? 'true'})`,
    [space, ...(condition?.parameters ?? [])],
  );
  return rows[0]!.count;
}

/** First number of a parameter in the conditions that `countUndeterminedAssets` takes. */
export const UNDETERMINED_FIRST_PARAMETER = 3;

/** Assets for which `value` is NULL, of those for which `among` holds; the parameters of `value` come first. */
export async function countUndeterminedAssets(
  transaction: Transaction,
  query: {
    readonly space: string;
    readonly retired: boolean;
    readonly value: TargetCondition;
    readonly among: TargetCondition | null;
  },
): Promise<number> {
  const rows: { count: number }[] = await transaction.query(
    `SELECT count(*) AS count FROM asset a
     WHERE a.space = $1 AND ($2 OR a.lifecycle <> 'retired') AND (${query.value.sql}) IS NULL AND (${query.among?.sql ?? 'true'})`,
    [query.space, query.retired, ...query.value.parameters, ...(query.among?.parameters ?? [])],
  );
  return rows[0]!.count;
}

/**
 * Held to the end of the transaction by imports, by whoever adds assets and by whoever changes an endpoint: two never add the same
 * name, and no import overwrites an endpoint by what it read before.
 */
export async function lockInventory(transaction: Transaction, space: string): Promise<void> {
  await transaction.query(`SELECT pg_advisory_xact_lock($1, hashtext($2))`, [INVENTORY_LOCK, space]);
}

export async function findAssetRow(
  transaction: Transaction,
  space: string,
  name: string,
  options: { readonly lock?: boolean } = {},
): Promise<AssetRow | null> {
  const rows: AssetRow[] = await transaction.query(
    `SELECT ${columns} FROM asset a WHERE a.space = $1 AND a.name = $2 ${options.lock ? 'FOR UPDATE' : ''}`,
    [space, name],
  );
  return rows[0] ?? null;
}

/** Whether the condition (parameters from 2) holds for one asset. */
export async function assetFulfils(
  transaction: Transaction,
  assetId: string,
  condition: TargetCondition,
): Promise<boolean> {
  const rows: unknown[] = await transaction.query(
    `SELECT 1 FROM asset a WHERE a.id = $1 AND (${condition.sql}) IS TRUE`,
    [assetId, ...condition.parameters],
  );
  return rows.length > 0;
}

export interface AssetWrite {
  readonly id: string;
  readonly space: string;
  readonly name: string;
  readonly kind: string;
  readonly site: string | null;
  readonly owner: string | null;
  readonly criticality: string | null;
  readonly lifecycle: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly sources: Readonly<Record<string, string>>;
  readonly isQuarantined: boolean;
}

export async function saveAsset(transaction: Transaction, asset: AssetWrite): Promise<void> {
  await transaction.query(
    `INSERT INTO asset (id, space, name, kind, site, owner, criticality, lifecycle, labels, sources)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
     ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, site = excluded.site, owner = excluded.owner,
       criticality = excluded.criticality, lifecycle = excluded.lifecycle, labels = excluded.labels, sources = excluded.sources,
       quarantined_at = CASE WHEN $11 THEN asset.quarantined_at END,
       quarantine_reason = CASE WHEN $11 THEN asset.quarantine_reason END, updated_at = clock_timestamp()`,
    [
      asset.id,
      asset.space,
      asset.name,
      asset.kind,
      asset.site,
      asset.owner,
      asset.criticality,
      asset.lifecycle,
      JSON.stringify(asset.labels),
      JSON.stringify(asset.sources),
      asset.isQuarantined,
    ],
  );
}

export async function saveEndpoint(
  transaction: Transaction,
  assetId: string,
  endpoint: Endpoint,
  source: string,
): Promise<void> {
  await transaction.query(
    `INSERT INTO endpoint (asset_id, transport, address, port, username, credential, host_keys, source, jump)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
     ON CONFLICT (asset_id, transport) DO UPDATE SET address = excluded.address, port = excluded.port,
       username = excluded.username, credential = excluded.credential, host_keys = excluded.host_keys,
       source = excluded.source, jump = excluded.jump, updated_at = clock_timestamp()`,
    [
      assetId,
      endpoint.transport,
      endpoint.address,
      endpoint.port,
      endpoint.username,
      endpoint.credential,
      endpoint.hostKeys,
      source,
      endpoint.jump,
    ],
  );
}

export interface AssetRelated {
  readonly facts: readonly {
    readonly name: string;
    readonly value: unknown;
    readonly source: string;
    readonly observedAt: Date;
  }[];
  readonly identifiers: readonly { readonly kind: string; readonly value: string; readonly source: string }[];
  readonly relations: readonly { readonly kind: string; readonly direction: 'to' | 'from'; readonly asset: string }[];
}

/**
 * What belongs to an asset, at most `limit` of each; of its relations those with assets for which `among` (parameters from 3)
 * holds. A host of many virtual machines, or a site's switch, may have more relations than anybody wants in one answer.
 */
export async function readAssetRelated(
  transaction: Transaction,
  assetId: string,
  limit: number,
  among: TargetCondition | null,
): Promise<AssetRelated> {
  return {
    facts: await transaction.query(
      `SELECT name, value, source, observed_at AS "observedAt" FROM asset_fact WHERE asset_id = $1 ORDER BY name LIMIT $2`,
      [assetId, limit],
    ),
    identifiers: await transaction.query(
      `SELECT kind, value, source FROM asset_identifier WHERE asset_id = $1 ORDER BY kind, value LIMIT $2`,
      [assetId, limit],
    ),
    relations: await transaction.query(
      `SELECT r.kind, r.direction, a.name AS asset
       FROM (SELECT kind, 'to' AS direction, to_id AS id FROM asset_relation WHERE from_id = $1
             UNION ALL
             SELECT kind, 'from', from_id FROM asset_relation WHERE to_id = $1) AS r
       JOIN asset a ON a.id = r.id WHERE (${among?.sql ?? 'true'}) ORDER BY 1, 2, 3 LIMIT $2`,
      [assetId, limit, ...(among?.parameters ?? [])],
    ),
  };
}
