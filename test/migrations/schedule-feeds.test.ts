import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createDataSource } from '@fettle/database';
import { migrations } from '@fettle/migrations';
import type { DataSource } from 'typeorm';
import { createEmptyDatabase, type TestDatabase } from '../support/postgres.js';

const LAST = 1790000000057;

describe('the migration of schedule feeds, with rows', () => {
  let database: TestDatabase;
  let dataSource: DataSource;

  beforeAll(async () => {
    database = await createEmptyDatabase();
    dataSource = await createDataSource({
      url: database.url,
      poolSize: 2,
      applicationName: 'fettle-test',
      migrations: migrations.filter((migration) => Number(migration.name.slice(-13)) <= LAST),
    });
    await dataSource.runMigrations();
  }, 60_000);
  afterAll(async () => {
    await dataSource?.destroy();
    await database?.close();
  });

  const principal = '01900000-0000-7000-8000-000000000001';

  it('holds hashes alone, goes with its principal, and can be undone', async () => {
    await dataSource.query(`INSERT INTO principal (id, name, kind) VALUES ($1, 'olga', 'person')`, [principal]);
    const insert = (hash: Buffer): Promise<unknown> =>
      dataSource.query(
        `INSERT INTO schedule_feed (id, space, principal_id, name, hash) VALUES (gen_random_uuid(), 'default', $1, 'phone', $2)`,
        [principal, hash],
      );
    await expect(insert(Buffer.from('the token itself'))).rejects.toThrow(/check/);
    await insert(Buffer.alloc(32));
    await dataSource.query(`DELETE FROM principal WHERE id = $1`, [principal]);
    expect(await dataSource.query(`SELECT 1 FROM schedule_feed`)).toEqual([]);
    await dataSource.undoLastMigration();
    await expect(dataSource.query(`SELECT 1 FROM schedule_feed`)).rejects.toThrow(/does not exist/);
    await dataSource.runMigrations();
  });
});
