import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createDataSource } from '@fettle/database';
import type { DataSource } from 'typeorm';
import { createEmptyDatabase, type TestDatabase } from '../support/postgres.js';

describe('statements with parameters', () => {
  let database: TestDatabase;
  let dataSource: DataSource;

  beforeAll(async () => {
    database = await createEmptyDatabase();
    // One connection, so that each query meets what the one before left.
    dataSource = await createDataSource({ url: database.url, poolSize: 1, applicationName: 'fettle-test' });
    await dataSource.query(`CREATE TABLE thing (id integer PRIMARY KEY, note jsonb)`);
  }, 60_000);
  afterAll(async () => {
    await dataSource?.destroy();
    await database?.close();
  });

  const prepared = (): Promise<{ statement: string; uses: number }[]> =>
    dataSource.query(
      `SELECT statement, (generic_plans + custom_plans)::integer AS uses FROM pg_prepared_statements WHERE statement LIKE '%thing%' AND statement NOT LIKE '%pg_prepared%' ORDER BY prepare_time`,
    );

  it('are prepared when they come again, once a connection', async () => {
    for (const id of [1, 2, 3, 4]) await dataSource.query(`INSERT INTO thing (id, note) VALUES ($1, $2)`, [id, { id }]);
    await dataSource.query(`SELECT count(*) FROM thing`);
    expect(await dataSource.query(`SELECT note FROM thing WHERE id = $1`, [2])).toEqual([{ note: { id: 2 } }]);
    expect(await prepared()).toEqual([{ statement: 'INSERT INTO thing (id, note) VALUES ($1, $2)', uses: 3 }]);
  });

  it('work again after a value that cannot be sent, one that Postgres refuses, and a change of the table', async () => {
    const text = `UPDATE thing SET note = $2 WHERE id = $1 RETURNING id`;
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    await dataSource.query(text, [3, {}]);
    await expect(dataSource.query(text, [1, circular])).rejects.toThrow(/circular/i);
    await expect(dataSource.query(text, ['no number', {}])).rejects.toThrow(/invalid input syntax/);
    expect(await dataSource.query(text, [1, { ok: true }])).toEqual([[{ id: 1 }], 1]);
    await dataSource.query(`ALTER TABLE thing ADD COLUMN more text`);
    expect(await dataSource.query(text, [2, { ok: true }])).toEqual([[{ id: 2 }], 1]);
  });
});
