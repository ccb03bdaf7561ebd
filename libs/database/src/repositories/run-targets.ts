import type { Endpoint } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import { updateRows } from '../update-rows.js';

/** An asset as a step on it needs it. */
export interface TargetAsset {
  readonly id: string;
  readonly name: string;
  readonly space: string;
  readonly kind: string;
  readonly site: string | null;
  readonly owner: string | null;
  readonly criticality: string | null;
  readonly lifecycle: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Empty unless asked for. */
  readonly facts: Readonly<Record<string, unknown>>;
  readonly quarantineReason: string | null;
  readonly endpoint: Endpoint | null;
}

interface TargetAssetRow {
  id: string;
  name: string;
  space: string;
  kind: string;
  site: string | null;
  owner: string | null;
  criticality: string | null;
  lifecycle: string;
  labels: Record<string, string>;
  quarantine_reason: string | null;
  facts: Record<string, unknown> | null;
  address: string | null;
  port: number;
  username: string | null;
  credential: string | null;
  host_keys: string[];
  jump: string | null;
}

/** Reads the assets of claimed targets at once; an asset deleted meanwhile is missing from the answer. */
export async function readTargetAssets(
  transaction: Transaction,
  assetIds: readonly string[],
  options: { readonly facts: boolean },
): Promise<Map<string, TargetAsset>> {
  const facts = options.facts
    ? `(SELECT jsonb_object_agg(f.name, f.value) FROM asset_fact f WHERE f.asset_id = a.id)`
    : `NULL::jsonb`;
  const rows: TargetAssetRow[] = await transaction.query(
    `SELECT a.id, a.name, a.space, a.kind, a.site, a.owner, a.criticality, a.lifecycle, a.labels, a.quarantine_reason,
       ${facts} AS facts, e.address, e.port, e.username, e.credential, e.host_keys, e.jump
     FROM asset a LEFT JOIN endpoint e ON e.asset_id = a.id AND e.transport = 'ssh'
     WHERE a.id = ANY ($1)`,
    [assetIds],
  );
  return new Map(rows.map((row) => [row.id, toTargetAsset(row)]));
}

function toTargetAsset(row: TargetAssetRow): TargetAsset {
  const { id, name, space, kind, site, owner, criticality, lifecycle, labels } = row;
  return {
    id,
    name,
    space,
    kind,
    site,
    owner,
    criticality,
    lifecycle,
    labels,
    facts: row.facts ?? {},
    quarantineReason: row.quarantine_reason,
    endpoint:
      row.address === null
        ? null
        : {
            transport: 'ssh',
            address: row.address,
            port: row.port,
            username: row.username,
            credential: row.credential,
            hostKeys: row.host_keys,
            jump: row.jump,
          },
  };
}

/** Takes an asset out of service until a person has looked at it; its name, or null where it was quarantined before. */
export async function quarantineAsset(
  transaction: Transaction,
  assetId: string,
  reason: string,
): Promise<string | null> {
  const changed = await updateRows<{ name: string }>(
    transaction,
    `UPDATE asset SET quarantined_at = now(), quarantine_reason = $2, updated_at = now() WHERE id = $1 AND quarantined_at IS NULL
     RETURNING name`,
    [assetId, reason],
  );
  return changed[0]?.name ?? null;
}

export interface StoredCredential {
  readonly space: string;
  readonly name: string;
  readonly kind: 'ssh-private-key' | 'password' | 'token';
  readonly username: string | null;
  readonly sealed: Buffer;
  readonly version: number;
}

export async function findCredential(
  transaction: Transaction,
  space: string,
  name: string,
): Promise<StoredCredential | null> {
  const rows: StoredCredential[] = await transaction.query(
    `SELECT space, name, kind, username, sealed, version FROM credential WHERE space = $1 AND name = $2`,
    [space, name],
  );
  return rows[0] ?? null;
}

/** Replaces the facts that one source gave, leaving those of others; identifiers are added. */
export async function saveFacts(
  transaction: Transaction,
  assetId: string,
  source: string,
  facts: Readonly<Record<string, unknown>>,
  identifiers: readonly { readonly kind: string; readonly value: string }[],
): Promise<void> {
  await transaction.query(
    `INSERT INTO asset_fact (asset_id, name, value, source, observed_at)
     SELECT $1, f.key, f.value, $2, now() FROM jsonb_each($3::jsonb) AS f
     ON CONFLICT (asset_id, name) DO UPDATE SET value = excluded.value, source = excluded.source, observed_at = excluded.observed_at`,
    [assetId, source, JSON.stringify(facts)],
  );
  await transaction.query(
    `INSERT INTO asset_identifier (asset_id, kind, value, source, observed_at)
     SELECT $1, i.kind, i.value, $2, now() FROM jsonb_to_recordset($3::jsonb) AS i (kind text, value text)
     ON CONFLICT (asset_id, kind, value) DO UPDATE SET source = excluded.source, observed_at = excluded.observed_at`,
    [assetId, source, JSON.stringify(identifiers)],
  );
}
