import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ImportAssetRow } from '@fettle/contracts';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { uuidv7 } from 'uuidv7';
import type { Transaction } from '../data-source.js';
import { updateRows } from '../update-rows.js';

export interface ImportCounts {
  readonly created: number;
  readonly changed: number;
  /** Assets of which something given was left as a person had set it. */
  readonly kept: number;
  /** Credentials that rows name and that do not exist, at most 20. */
  readonly missingCredentials: readonly string[];
}

const stagingColumns = [
  'new_id',
  'name',
  'kind',
  'site',
  'owner',
  'criticality',
  'lifecycle',
  'labels',
  'address',
  'port',
  'username',
  'credential',
  'host_key',
];

/** One import of a space at a time: two at once would each see half of the other. */
const IMPORT_LOCK = 7_070_020;

/**
 * Imports rows, set by set: staged through COPY, then compared with what is there. Absent values change nothing, labels merge,
 * and what a person set by hand stays. Names must be unique among the rows.
 */
export async function importAssetRows(
  transaction: Transaction,
  space: string,
  source: string,
  rows: readonly ImportAssetRow[],
): Promise<ImportCounts> {
  await transaction.query(`SELECT pg_advisory_xact_lock($1, hashtext($2))`, [IMPORT_LOCK, space]);
  await stage(transaction, rows);
  const kept = await countKept(transaction, space);
  const changedAssets = await updateAssets(transaction, space, source);
  const created = await insertAssets(transaction, space, source);
  const changedEndpoints = await updateEndpoints(transaction, source);
  const newEndpoints = await insertEndpoints(transaction, source);
  const changed = new Set([...changedAssets, ...changedEndpoints, ...newEndpoints]);
  const missing: { credential: string }[] = await transaction.query(
    `SELECT DISTINCT i.credential FROM import_row i WHERE i.credential IS NOT NULL
       AND NOT EXISTS (SELECT 1 FROM credential c WHERE c.space = $1 AND c.name = i.credential)
     ORDER BY 1 LIMIT 20`,
    [space],
  );
  const touched: { count: number }[] = await transaction.query(
    `SELECT count(*) AS count FROM unnest($1::uuid[]) AS t (id) WHERE NOT EXISTS (SELECT 1 FROM import_row i WHERE i.new_id = t.id)`,
    [[...changed]],
  );
  return { created, changed: touched[0]!.count, kept, missingCredentials: missing.map((row) => row.credential) };
}

async function stage(transaction: Transaction, rows: readonly ImportAssetRow[]): Promise<void> {
  await transaction.query(`
    CREATE TEMPORARY TABLE import_row (
      new_id uuid NOT NULL, name text NOT NULL, kind text, site text, owner text, criticality text, lifecycle text,
      labels jsonb NOT NULL, address text, port integer, username text, credential text, host_key text
    ) ON COMMIT DROP`);
  const client = (await transaction.queryRunner!.connect()) as pg.ClientBase;
  const stream = client.query(copyFrom(`COPY import_row (${stagingColumns.join(', ')}) FROM STDIN`));
  await pipeline(Readable.from(copyBlocks(rows)), stream);
  await transaction.query(`CREATE INDEX ON import_row (name)`);
  await transaction.query(`ANALYZE import_row`);
}

const ROWS_IN_BLOCK = 500;

/** Rows in COPY's text format (PostgreSQL, COPY, "Text Format"), some hundred a block. */
function* copyBlocks(rows: readonly ImportAssetRow[]): Generator<string> {
  for (let first = 0; first < rows.length; first += ROWS_IN_BLOCK) {
    let block = '';
    for (const row of rows.slice(first, first + ROWS_IN_BLOCK)) {
      const values = [
        uuidv7(),
        row.name,
        row.kind,
        row.site,
        row.owner,
        row.criticality,
        row.lifecycle,
        JSON.stringify(row.labels),
        row.address,
        row.port,
        row.user,
        row.credential,
        row.hostKey,
      ];
      block += `${values.map(copyValue).join('\t')}\n`;
    }
    yield block;
  }
}

const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };

function copyValue(value: string | number | undefined): string {
  if (value === undefined) return '\\N';
  return String(value).replace(/[\\\t\n\r]/g, (character) => escapes[character]!);
}

const columns = ['kind', 'site', 'owner', 'criticality', 'lifecycle'] as const;
const personOwns = (column: string): string => `a.sources->>'${column}' = 'person'`;
/** What an import makes of a column: absent changes nothing, a person's value stays. */
const merged = (column: string): string =>
  `CASE WHEN i.${column} IS NULL OR ${personOwns(column)} THEN a.${column} ELSE i.${column} END AS ${column}`;
const mergedLabels = `a.labels || coalesce((
    SELECT jsonb_object_agg(l.key, l.value) FROM jsonb_each(i.labels) AS l
    WHERE a.sources->>('label.' || l.key) IS DISTINCT FROM 'person'), '{}') AS labels`;
/** Who owns what, after the import: what it gave and no person had set. */
const givenSources = `coalesce((
    SELECT jsonb_object_agg(given.name, $2::text) FROM (
      SELECT c.name FROM (VALUES ${columns.map((column) => `('${column}', i.${column} IS NOT NULL)`).join(', ')}) AS c (name, is_given)
      WHERE c.is_given
      UNION ALL SELECT 'label.' || key FROM jsonb_object_keys(i.labels) AS key) AS given`;

async function countKept(transaction: Transaction, space: string): Promise<number> {
  const differs = columns.map(
    (column) => `(i.${column} IS NOT NULL AND ${personOwns(column)} AND a.${column} IS DISTINCT FROM i.${column})`,
  );
  const rows: { count: number }[] = await transaction.query(
    `SELECT count(*) AS count FROM import_row i JOIN asset a ON a.space = $1 AND a.name = i.name
     WHERE a.sources <> '{}' AND (${differs.join(' OR ')} OR EXISTS (
       SELECT 1 FROM jsonb_each(i.labels) AS l
       WHERE a.sources->>('label.' || l.key) = 'person' AND a.labels->l.key IS DISTINCT FROM l.value))`,
    [space],
  );
  return rows[0]!.count;
}

async function updateAssets(transaction: Transaction, space: string, source: string): Promise<string[]> {
  const rows = await updateRows<{ id: string }>(
    transaction,
    `UPDATE asset a SET ${columns.map((column) => `${column} = n.${column}`).join(', ')}, labels = n.labels,
       sources = a.sources || n.sources, updated_at = clock_timestamp()
     FROM (
       SELECT a.id, ${columns.map(merged).join(', ')}, ${mergedLabels},
         ${givenSources} WHERE a.sources->>given.name IS DISTINCT FROM 'person'), '{}') AS sources
       FROM import_row i JOIN asset a ON a.space = $1 AND a.name = i.name) AS n
     WHERE a.id = n.id AND (${[...columns, 'labels'].map((column) => `a.${column}`).join(', ')})
       IS DISTINCT FROM (${[...columns, 'labels'].map((column) => `n.${column}`).join(', ')})
     RETURNING a.id`,
    [space, source],
  );
  return rows.map((row) => row.id);
}

async function insertAssets(transaction: Transaction, space: string, source: string): Promise<number> {
  const rows: { count: number }[] = await transaction.query(
    `WITH created AS (
       INSERT INTO asset (id, space, name, kind, site, owner, criticality, lifecycle, labels, sources)
       SELECT i.new_id, $1, i.name, coalesce(i.kind, 'server'), i.site, i.owner, i.criticality, coalesce(i.lifecycle, 'active'),
         i.labels, ${givenSources}), '{}')
       FROM import_row i WHERE NOT EXISTS (SELECT 1 FROM asset a WHERE a.space = $1 AND a.name = i.name)
       RETURNING 1)
     SELECT count(*) AS count FROM created`,
    [space, source],
  );
  // From here on every row knows its asset.
  await transaction.query(`ALTER TABLE import_row ADD COLUMN asset_id uuid`);
  await transaction.query(
    `UPDATE import_row i SET asset_id = a.id FROM asset a WHERE a.space = $1 AND a.name = i.name`,
    [space],
  );
  return rows[0]!.count;
}

async function updateEndpoints(transaction: Transaction, source: string): Promise<string[]> {
  const rows = await updateRows<{ id: string }>(
    transaction,
    `UPDATE endpoint e SET address = n.address, port = n.port, username = n.username, credential = n.credential,
       host_keys = n.host_keys, source = $1, updated_at = clock_timestamp()
     FROM (
       SELECT i.asset_id, coalesce(i.address, e.address) AS address, coalesce(i.port, e.port) AS port,
         coalesce(i.username, e.username) AS username, coalesce(i.credential, e.credential) AS credential,
         CASE WHEN i.host_key IS NULL THEN e.host_keys ELSE ARRAY[i.host_key] END AS host_keys
       FROM import_row i JOIN endpoint e ON e.asset_id = i.asset_id AND e.transport = 'ssh'
       WHERE e.source <> 'person') AS n
     WHERE e.asset_id = n.asset_id AND e.transport = 'ssh'
       AND (e.address, e.port, e.username, e.credential, e.host_keys)
         IS DISTINCT FROM (n.address, n.port, n.username, n.credential, n.host_keys)
     RETURNING e.asset_id AS id`,
    [source],
  );
  return rows.map((row) => row.id);
}

async function insertEndpoints(transaction: Transaction, source: string): Promise<string[]> {
  const rows: { id: string }[] = await transaction.query(
    `INSERT INTO endpoint (asset_id, transport, address, port, username, credential, host_keys, source)
     SELECT i.asset_id, 'ssh', i.address, coalesce(i.port, 22), i.username, i.credential,
       CASE WHEN i.host_key IS NULL THEN '{}' ELSE ARRAY[i.host_key] END, $1
     FROM import_row i
     WHERE i.address IS NOT NULL AND NOT EXISTS (SELECT 1 FROM endpoint e WHERE e.asset_id = i.asset_id AND e.transport = 'ssh')
     RETURNING asset_id AS id`,
    [source],
  );
  return rows.map((row) => row.id);
}
