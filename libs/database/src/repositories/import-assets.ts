import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ImportAssetRow } from '@fettle/contracts';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { uuidv7 } from 'uuidv7';
import type { Transaction } from '../data-source.js';
import { lockInventory } from './assets.js';

export interface ImportCounts {
  readonly created: number;
  readonly changed: number;
  /** Assets of which something given was left as a person had set it. */
  readonly kept: number;
  /** Credentials that rows name and that do not exist, at most 20. */
  readonly missingCredentials: readonly string[];
}

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
  if (rows.length === 0) return { created: 0, changed: 0, kept: 0, missingCredentials: [] };
  // One import of a space at a time: two at once would each see half of the other.
  await lockInventory(transaction, space);
  await stage(transaction, rows, source);
  const known = await countKnown(transaction, space);
  const kept = known === 0 ? 0 : await countKept(transaction, space);
  const changedAssets = known === 0 ? [] : await updateAssets(transaction, space);
  const created = known === rows.length ? 0 : await insertAssets(transaction, space);
  const changedEndpoints = known === 0 ? [] : await updateEndpoints(transaction, space, source);
  const newEndpoints = known === 0 ? [] : await insertMissingEndpoints(transaction, space, source);
  if (created > 0) await insertNewEndpoints(transaction, source, known === 0);
  const changed = new Set([...changedAssets, ...changedEndpoints, ...newEndpoints]);
  const missingCredentials = await listMissingCredentials(transaction, space);
  await transaction.query(`DROP TABLE import_row`);
  return { created, changed: changed.size, kept, missingCredentials };
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
  'sources',
  'address',
  'port',
  'username',
  'credential',
  'host_key',
  'jump',
];

async function stage(transaction: Transaction, rows: readonly ImportAssetRow[], source: string): Promise<void> {
  await transaction.query(`
    CREATE TEMPORARY TABLE import_row (
      new_id uuid NOT NULL, name text NOT NULL, kind text, site text, owner text, criticality text, lifecycle text,
      labels jsonb NOT NULL, sources jsonb NOT NULL, address text, port integer, username text, credential text, host_key text, jump text
    ) ON COMMIT DROP`);
  const client = (await transaction.queryRunner!.connect()) as pg.ClientBase;
  const stream = client.query(copyFrom(`COPY import_row (${stagingColumns.join(', ')}) FROM STDIN`));
  await pipeline(Readable.from(copyBlocks(rows, source)), stream);
  await transaction.query(`ANALYZE import_row`);
}

const ROWS_IN_BLOCK = 500;

/** Rows in COPY's text format (PostgreSQL, COPY, "Text Format"), some hundred a block. */
function* copyBlocks(rows: readonly ImportAssetRow[], source: string): Generator<string> {
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
        JSON.stringify(sourcesOf(row, source)),
        row.address,
        row.port,
        row.user,
        row.credential,
        row.hostKey,
        row.jump,
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

/** Each row with the asset it names; $1 is the space. */
const known = `import_row i JOIN asset a ON a.space = $1 AND a.name = i.name`;

async function countKnown(transaction: Transaction, space: string): Promise<number> {
  const rows: { count: number }[] = await transaction.query(`SELECT count(*) AS count FROM ${known}`, [space]);
  return rows[0]!.count;
}

const columns = ['kind', 'site', 'owner', 'criticality', 'lifecycle'] as const;
/** Columns of `endpoint`, of the rows that give them, and the names under which `asset.sources` knows them. */
const endpointColumns = [
  { column: 'address', row: 'address', given: 'i.address', source: 'endpoint.address' },
  { column: 'port', row: 'port', given: 'i.port', source: 'endpoint.port' },
  { column: 'username', row: 'username', given: 'i.username', source: 'endpoint.username' },
  { column: 'credential', row: 'credential', given: 'i.credential', source: 'endpoint.credential' },
  { column: 'host_keys', row: 'host_key', given: 'ARRAY[i.host_key]', source: 'endpoint.hostKeys' },
  { column: 'jump', row: 'jump', given: 'i.jump', source: 'endpoint.jump' },
] as const;

const personOwns = (source: string): string => `a.sources->>'${source}' IS NOT DISTINCT FROM 'person'`;
/** What an import makes of a column: absent changes nothing, a person's value stays. */
const merged = (column: string): string =>
  `CASE WHEN i.${column} IS NULL OR ${personOwns(column)} THEN a.${column} ELSE i.${column} END`;
const mergedEndpoint = ({ column, row, given, source }: (typeof endpointColumns)[number]): string =>
  `CASE WHEN i.${row} IS NOT NULL AND NOT ${personOwns(source)} THEN ${given} ELSE e.${column} END`;
const mergedLabels = `a.labels || coalesce((
    SELECT jsonb_object_agg(l.key, l.value) FROM jsonb_each(i.labels) AS l
    WHERE a.sources->>('label.' || l.key) IS DISTINCT FROM 'person'), '{}')`;
/** Who owns what, after the import: what it gave and no person had set. */
const mergedSources = `a.sources || coalesce((
    SELECT jsonb_object_agg(s.key, s.value) FROM jsonb_each(i.sources) AS s
    WHERE a.sources->>s.key IS DISTINCT FROM 'person'), '{}')`;

/** What a row gives, with the import as its owner. */
function sourcesOf(row: ImportAssetRow, source: string): Record<string, string> {
  const sources: Record<string, string> = {};
  for (const column of columns) if (row[column] !== undefined) sources[column] = source;
  for (const name of Object.keys(row.labels)) sources[`label.${name}`] = source;
  return sources;
}

async function countKept(transaction: Transaction, space: string): Promise<number> {
  const differs = [
    ...columns.map(
      (column) => `(i.${column} IS NOT NULL AND ${personOwns(column)} AND a.${column} IS DISTINCT FROM i.${column})`,
    ),
    ...endpointColumns.map(
      ({ column, row, given, source }) =>
        `(i.${row} IS NOT NULL AND ${personOwns(source)} AND e.${column} IS DISTINCT FROM ${given})`,
    ),
  ];
  const rows: { count: number }[] = await transaction.query(
    `SELECT count(*) AS count FROM ${known} LEFT JOIN endpoint e ON e.asset_id = a.id AND e.transport = 'ssh'
     WHERE a.sources @? '$.* ? (@ == "person")' AND (${differs.join(' OR ')} OR EXISTS (
       SELECT 1 FROM jsonb_each(i.labels) AS l
       WHERE a.sources->>('label.' || l.key) = 'person' AND a.labels->l.key IS DISTINCT FROM l.value))`,
    [space],
  );
  return rows[0]!.count;
}

/**
 * All values are computed from the row that is updated: should a person change it in between, Postgres evaluates them again
 * with what he set (PostgreSQL manual, section 13.2.1).
 */
async function updateAssets(transaction: Transaction, space: string): Promise<string[]> {
  const [rows] = (await transaction.query<unknown>(
    `UPDATE asset a SET ${columns.map((column) => `${column} = ${merged(column)}`).join(', ')}, labels = ${mergedLabels},
       sources = ${mergedSources},
       updated_at = clock_timestamp()
     FROM import_row i
     WHERE a.space = $1 AND a.name = i.name AND (
       (${columns.map((column) => `a.${column}`).join(', ')}) IS DISTINCT FROM (${columns.map(merged).join(', ')})
       OR (NOT a.labels @> i.labels AND a.labels IS DISTINCT FROM ${mergedLabels}))
     RETURNING a.id`,
    [space],
  )) as [{ id: string }[], number];
  return rows.map((row) => row.id);
}

/** No anti-join: planned while the table is empty it would scan, for each row, all rows inserted so far. */
async function insertAssets(transaction: Transaction, space: string): Promise<number> {
  const rows: { count: number }[] = await transaction.query(
    `WITH created AS (
       INSERT INTO asset (id, space, name, kind, site, owner, criticality, lifecycle, labels, sources)
       SELECT i.new_id, $1, i.name, coalesce(i.kind, 'server'), i.site, i.owner, i.criticality, coalesce(i.lifecycle, 'active'),
         i.labels, i.sources
       FROM import_row i
       ON CONFLICT (space, name) DO NOTHING RETURNING 1)
     SELECT count(*) AS count FROM created`,
    [space],
  );
  return rows[0]!.count;
}

async function updateEndpoints(transaction: Transaction, space: string, source: string): Promise<string[]> {
  const [rows] = (await transaction.query<unknown>(
    `UPDATE endpoint e SET ${endpointColumns.map((entry) => `${entry.column} = ${mergedEndpoint(entry)}`).join(', ')},
       source = $2, updated_at = clock_timestamp()
     FROM ${known}
     WHERE e.asset_id = a.id AND e.transport = 'ssh'
       AND (${endpointColumns.map(({ column }) => `e.${column}`).join(', ')})
         IS DISTINCT FROM (${endpointColumns.map(mergedEndpoint).join(', ')})
     RETURNING e.asset_id AS id`,
    [space, source],
  )) as [{ id: string }[], number];
  return rows.map((row) => row.id);
}

const insertEndpoint = (assetId: string): string =>
  `INSERT INTO endpoint (asset_id, transport, address, port, username, credential, host_keys, source, jump)
   SELECT ${assetId}, 'ssh', coalesce(i.address, i.name), coalesce(i.port, 22), i.username, i.credential,
     CASE WHEN i.host_key IS NULL THEN '{}' ELSE ARRAY[i.host_key] END, $1, i.jump`;
const givesEndpoint = 'coalesce(i.address, i.port::text, i.username, i.credential, i.host_key, i.jump) IS NOT NULL';

/** Gives an endpoint to the assets that this import created: all rows, or those whose id is there now. */
async function insertNewEndpoints(transaction: Transaction, source: string, areAllNew: boolean): Promise<void> {
  const isNew = areAllNew ? '' : 'JOIN asset a ON a.id = i.new_id';
  await transaction.query(`${insertEndpoint('i.new_id')} FROM import_row i ${isNew} WHERE ${givesEndpoint}`, [source]);
}

/** Gives an endpoint to older assets that have none; returns their ids. */
async function insertMissingEndpoints(transaction: Transaction, space: string, source: string): Promise<string[]> {
  const lacking: { count: number }[] = await transaction.query(
    `SELECT count(*) AS count FROM import_row i JOIN asset a ON a.space = $1 AND a.name = i.name
     WHERE a.id <> i.new_id AND ${givesEndpoint}
       AND NOT EXISTS (SELECT 1 FROM endpoint e WHERE e.asset_id = a.id AND e.transport = 'ssh')`,
    [space],
  );
  if (lacking[0]!.count === 0) return [];
  const rows: { id: string }[] = await transaction.query(
    `${insertEndpoint('a.id')} FROM import_row i JOIN asset a ON a.space = $2 AND a.name = i.name
     WHERE a.id <> i.new_id AND ${givesEndpoint}
     ON CONFLICT (asset_id, transport) DO NOTHING
     RETURNING asset_id AS id`,
    [source, space],
  );
  return rows.map((row) => row.id);
}

async function listMissingCredentials(transaction: Transaction, space: string): Promise<string[]> {
  const rows: { credential: string }[] = await transaction.query(
    `SELECT DISTINCT i.credential FROM import_row i WHERE i.credential IS NOT NULL
       AND NOT EXISTS (SELECT 1 FROM credential c WHERE c.space = $1 AND c.name = i.credential)
     ORDER BY 1 LIMIT 20`,
    [space],
  );
  return rows.map((row) => row.credential);
}
