// SQL and memory are one language: whatever selector over whatever assets, Postgres and evaluation in memory agree.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { compileSelector, evaluateSelector, parseSelector, type AssetView, type Truth } from '@fettle/expression';
import fc from 'fast-check';
import pg from 'pg';
import { createEmptyDatabase, type TestDatabase } from '../support/postgres.js';
import { assetArbitrary, selectorArbitrary } from './selector-arbitrary.js';

const isLong = process.env.FETTLE_LONG === '1';
const numRuns = isLong ? 3000 : 400;
const seed = Number(process.env.FETTLE_SEED ?? Date.now() % 2 ** 31);

let database: TestDatabase;
let client: pg.Client;

beforeAll(async () => {
  database = await createEmptyDatabase();
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await client.query(`
    create table asset (
      id uuid not null, row_number int primary key, name text not null, space text, kind text, owner text, site text, criticality text,
      lifecycle text, labels jsonb not null, quarantined_at timestamptz
    );
    create index on asset using gin (labels jsonb_path_ops);
    create table asset_fact (asset_id uuid not null, name text not null, value jsonb not null, primary key (asset_id, name));
  `);
}, 60_000);

afterAll(async () => {
  await client.end();
  await database.close();
});

/** The assets as the tables hold them; each gets an id of its own unless there is only one. */
async function store(assets: readonly AssetView[]): Promise<void> {
  const rows = assets.map((asset, index) => ({
    ...asset,
    row_number: index,
    quarantined_at: asset.quarantined ? new Date(0) : null,
  }));
  await client.query('truncate asset, asset_fact');
  await client.query(`insert into asset select r.* from jsonb_populate_recordset(null::asset, $1::jsonb) r`, [
    JSON.stringify(rows),
  ]);
  await client.query(
    `insert into asset_fact select (r.asset ->> 'id')::uuid, f.key, f.value
       from jsonb_array_elements($1::jsonb) r(asset), jsonb_each(r.asset -> 'facts') f`,
    [JSON.stringify(rows)],
  );
}

const truthOf = (value: boolean | null): Truth => value ?? 'unknown';

async function evaluateInPostgres(source: string): Promise<{ truths: Truth[]; selected: number[] }> {
  const { sql, where, parameters } = compileSelector(source);
  const truths = await client.query<{ truth: boolean | null }>(
    `select (${sql}) as truth from asset a order by row_number`,
    [...parameters],
  );
  const selected = await client.query<{ row_number: number }>(
    `select row_number from asset a where ${where.sql} order by 1`,
    [...where.parameters],
  );
  return { truths: truths.rows.map((row) => truthOf(row.truth)), selected: selected.rows.map((row) => row.row_number) };
}

/** Assets with an id each: facts are found by it. */
const assetsArbitrary = fc
  .array(assetArbitrary, { minLength: 3, maxLength: 6 })
  .map((assets) =>
    assets.map((asset, index): AssetView =>
      index === 0 ? asset : { ...asset, id: `0192f0c1-2d3e-7abc-8def-00000000000${index}` },
    ),
  );

async function expectAgreement(source: string, assets: readonly AssetView[]): Promise<Truth[]> {
  await store(assets);
  const selector = parseSelector(source);
  const inMemory = assets.map((asset) => evaluateSelector(selector, asset));
  const inPostgres = await evaluateInPostgres(source);
  expect(inPostgres.truths).toEqual(inMemory);
  expect(inPostgres.selected).toEqual(inMemory.flatMap((truth, index) => (truth === true ? [index] : [])));
  return inMemory;
}

describe('selectors in SQL and in memory', () => {
  it(
    'agree on generated expressions and assets with missing and odd values',
    async () => {
      process.stdout.write(`selector-sql: seed ${seed}, ${numRuns} expressions\n`);
      const seen = { true: 0, false: 0, unknown: 0 };
      await fc.assert(
        fc.asyncProperty(selectorArbitrary, assetsArbitrary, async (source, assets) => {
          fc.pre(source.length <= 4096);
          for (const truth of await expectAgreement(source, assets)) seen[String(truth) as keyof typeof seen] += 1;
        }),
        { seed, numRuns },
      );
      process.stdout.write(`selector-sql: outcomes ${JSON.stringify(seen)}\n`);
      // A generator that only ever meets one outcome would test nothing.
      for (const count of Object.values(seen)) expect(count).toBeGreaterThan(numRuns / 4);
    },
    isLong ? 600_000 : 120_000,
  );
});
