// SQL and memory are one language: whatever selector over whatever assets, Postgres and evaluation in memory agree.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { compileSelector, evaluateSelector, parseSelector, type AssetView, type Truth } from '@fettle/expression';
import fc from 'fast-check';
import pg from 'pg';
import { figure, testSeed } from '../support/figures.js';
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from '../support/postgres.js';
import { assetArbitrary, selectorArbitrary } from './selector-arbitrary.js';

const isLong = process.env.FETTLE_LONG === '1';
const numRuns = isLong ? 3000 : 400;
const seed = testSeed();

let database: TestDatabase;
let client: pg.Client;

beforeAll(async () => {
  database = await createEmptyDatabase();
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
  // An order that is not by code point: the SQL must not depend on the database's.
  const text = 'text collate "en-x-icu"';
  await client.query(`
    create table asset (
      id uuid not null, row_number int primary key, name ${text} not null, space ${text}, kind ${text}, owner ${text}, site ${text},
      criticality ${text}, lifecycle ${text}, labels jsonb not null, quarantined_at timestamptz
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
      const seen = { true: 0, false: 0, unknown: 0 };
      await fc.assert(
        fc.asyncProperty(selectorArbitrary, assetsArbitrary, async (source, assets) => {
          fc.pre(source.length <= 4096);
          for (const truth of await expectAgreement(source, assets)) seen[String(truth) as keyof typeof seen] += 1;
        }),
        { seed, numRuns },
      );
      figure(`${numRuns} expressions, SQL and memory agree; outcomes ${JSON.stringify(seen)}`);
      // A generator that only ever meets one outcome would test nothing.
      for (const count of Object.values(seen)) expect(count).toBeGreaterThan(numRuns / 4);
    },
    isLong ? 600_000 : 120_000,
  );

  it('agree on every operator over every pair of odd values', async () => {
    const assets = oddValues.flatMap((os, i) =>
      oddValues.map((x, j): AssetView => {
        const id = `0192f0c1-2d3e-7abc-8def-${String(i * oddValues.length + j).padStart(12, '0')}`;
        const facts = Object.fromEntries(Object.entries({ os, x }).filter(([, value]) => value !== undefined));
        const env = typeof os === 'string' ? { env: os } : {};
        return {
          id,
          name: String(i),
          owner: typeof x === 'string' ? x : null,
          labels: env,
          facts,
          quarantined: j % 2 === 0,
        };
      }),
    );
    await store(assets);
    const disagreements: string[] = [];
    for (const source of everyOperator()) {
      const selector = parseSelector(source);
      const { truths, selected } = await evaluateInPostgres(source);
      for (const [index, asset] of assets.entries()) {
        const truth = evaluateSelector(selector, asset);
        if (truths[index] === truth && selected.includes(index) === (truth === true)) continue;
        disagreements.push(`${source} on ${JSON.stringify(asset)}: memory ${truth}, SQL ${truths[index]}`);
      }
    }
    expect(disagreements.slice(0, 5)).toEqual([]);
  }, 120_000);

  it('agree, in bounded time, on the deepest nesting that is allowed', async () => {
    const asset: AssetView = {
      id: '0192f0c1-2d3e-7abc-8def-000000000001',
      name: 'x',
      labels: {},
      facts: { a: true, b: false },
      quarantined: false,
    };
    await store([asset]);
    const nest = (wrap: (inner: string) => string, levels = 55): string =>
      Array.from({ length: levels }).reduce<string>((inner) => wrap(inner), 'asset.facts.a');
    const sources = [
      `${nest((inner) => `(${inner} ? asset.facts.b : asset.name)`)} == "x"`,
      `${nest((inner) => `(${inner} == asset.facts.a)`)}`,
      `${nest((inner) => `(asset.facts.c == ${inner})`)}`,
      `${nest((inner) => `(${inner} in [true, asset.facts.b, asset.facts.c])`)}`,
      `${nest((inner) => `(asset.facts.a ? ${inner} : asset.facts.c).b`, 28)} == 1`,
      `${nest((inner) => `(${inner} in asset.facts.c)`)}`,
      `${nest((inner) => `(size(asset.facts.a ? ${inner} : "x") == 1)`, 20)}`,
    ];
    // The planner, too, must not do exponential work.
    await client.query(`set statement_timeout = '20s'`);
    for (const source of sources) {
      const { truths } = await evaluateInPostgres(source);
      expect([source, truths]).toEqual([source, [evaluateSelector(parseSelector(source), asset)]]);
    }
    await client.query('reset statement_timeout');
  }, 120_000);

  it('find the columns that the migrations make', async () => {
    const migrated = await createTestDatabase();
    const own = new pg.Client({ connectionString: migrated.url });
    await own.connect();
    const id = '0192f0c1-2d3e-7abc-8def-000000000001';
    const facts = { os: { family: 'debian' }, mem: { gb: 8 } };
    const asset = {
      name: 'web01',
      space: 'default',
      kind: 'server',
      owner: 'ann',
      site: 'ber',
      criticality: 'high',
      lifecycle: 'active',
    };
    const labels = { env: 'prod' };
    try {
      await own.query(
        `insert into asset (id, name, space, kind, owner, site, criticality, lifecycle, labels) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
        [id, ...Object.values(asset), labels],
      );
      await own.query(
        `insert into asset_fact (asset_id, name, value, source, observed_at) select $1, key, value, 'test', now() from jsonb_each($2)`,
        [id, facts],
      );
      const source = [
        ...Object.entries({ id, ...asset }).map(([field, text]) => `asset.${field} == ${JSON.stringify(text)}`),
        'asset.labels.env == "prod" && asset.facts.os.family == "debian" && asset.facts.mem.gb > 4 && !asset.quarantined',
      ].join(' && ');
      expect(evaluateSelector(parseSelector(source), { id, ...asset, labels, facts, quarantined: false })).toBe(true);
      const { where } = compileSelector(source);
      const selected = await own.query(`select name from asset a where ${where.sql}`, [...where.parameters]);
      expect(selected.rows).toEqual([{ name: 'web01' }]);
    } finally {
      await own.end();
      await migrated.close();
    }
  });

  it('compile what an index can serve for an equality of a label, a column or the id', async () => {
    const { where } = compileSelector('asset.labels.env == "prod" && asset.facts.os.family != "windows"', undefined, {
      firstParameter: 3,
    });
    expect(where.sql).toContain('a.labels @> $');
    await client.query('set enable_seqscan = off');
    const { sql, parameters } = compileSelector('asset.labels.env == "prod"').where;
    const plan = await client.query<{ 'QUERY PLAN': string }>(`explain select 1 from asset a where ${sql}`, [
      ...parameters,
    ]);
    await client.query('reset enable_seqscan');
    expect(plan.rows.map((row) => row['QUERY PLAN']).join('\n')).toContain('Bitmap Index Scan on asset_labels_idx');
  });
});

/** A value of each type and the borders between them; undefined is missing. */
const oddValues: readonly unknown[] = [
  ...[undefined, null, true, false, 0, 1, 8, 8.5, -1, 2 ** 53 + 2, 2 ** 63, 9223372036854774784, 1e21],
  ...['', 'a', 'ab', 'b', '8', 'true', '\u{1F600}', '\uFFFD', '0'],
  ...[
    [],
    ['a'],
    [1, 'a', null],
    [[1]],
    {},
    { a: 1 },
    { '0': 'a', __proto__x: 2 },
    JSON.parse('{"__proto__": {"a": true}}') as unknown,
  ],
];

/** Each form of operator over two facts, and over a fact, a label or a column and each kind of literal. */
function everyOperator(): string[] {
  const operators = ['==', '!=', '<', '<=', '>', '>=', 'in'];
  const literals = [
    'null',
    'true',
    '8',
    '8.0',
    '8.5',
    '-1',
    '9223372036854775807',
    '9223372036854774900',
    '"a"',
    '""',
    '"\u{1F600}"',
    '"0"',
  ];
  const containers = [
    '[]',
    '["a"]',
    '[8, 8.5]',
    '[1, "a", null]',
    '[null]',
    '{}',
    '{"a": 1.0}',
    '{"0": "a", "__proto__x": 2}',
    '[[1.0]]',
  ];
  const isAllowed = (operator: string, literal: string): boolean =>
    operator === '==' ||
    operator === '!=' ||
    (operator === 'in' ? '[{'.includes(literal.charAt(0)) : !/^(null|true|\[|\{)/.test(literal));
  const sources = operators.map((operator) => `asset.facts.os ${operator} asset.facts.x`);
  for (const operator of operators) {
    for (const literal of [...literals, ...containers]) {
      if (isAllowed(operator, literal)) sources.push(`asset.facts.os ${operator} ${literal}`);
      if (operator !== 'in' && isAllowed(operator, literal)) sources.push(`${literal} ${operator} asset.facts.os`);
      if (operator === 'in' && literal !== 'null')
        sources.push(`${literal} in asset.facts.os`, `asset.facts.os in [${literal}, asset.facts.x]`);
    }
    sources.push(
      `asset.labels.env ${operator === 'in' ? '==' : operator} asset.owner`,
      `asset.facts.os ${operator === 'in' ? '==' : operator} asset.owner`,
    );
  }
  const operands = ['asset.facts.os', 'asset.facts.x', 'asset.quarantined', '(asset.owner == "a")'];
  for (const a of operands) {
    for (const b of operands)
      sources.push(
        `${a} && ${b}`,
        `${a} || ${b}`,
        `!(${a} || !${b})`,
        `${a} ? ${b} : asset.facts.x`,
        `(${a} ? asset.owner : 8) == "a"`,
      );
  }
  for (const step of [
    '.a',
    '[0]',
    '["0"]',
    '[-1]',
    '["__proto__"]',
    '[0][0]',
    '.a.b',
    '["__proto__"].a',
    '["constructor"]',
    '.length',
  ]) {
    sources.push(
      `has(asset.facts.os${step})`,
      `asset.facts.os${step} == 1`,
      `asset.facts.os${step} == asset.facts.x`,
      `asset.facts.os${step} == "a"`,
    );
  }
  for (const method of ['startsWith', 'endsWith', 'contains'])
    sources.push(`asset.facts.os.${method}(asset.facts.x)`, `asset.owner.${method}(asset.labels.env)`);
  sources.push(
    'size(asset.facts.os) == 1',
    'asset.facts.os.size() > size(asset.facts.x)',
    'size(asset.labels) == 1',
    'size(asset.owner) == 1',
  );
  sources.push(
    '-asset.facts.os < asset.facts.x',
    'has(asset.owner)',
    'has(asset.labels.env)',
    'asset.facts.os in asset.labels',
    'asset.owner in asset.labels',
  );
  sources.push(
    'asset.labels == {"env": "a"}',
    'asset.facts.os == asset.labels',
    '"env" in asset.labels',
    '"os" in asset.facts',
    'asset["owner"] == "a"',
  );
  return sources;
}
