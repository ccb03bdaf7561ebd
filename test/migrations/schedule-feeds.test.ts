import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { MigratedDatabase } from '../support/migrated.js';

const LAST = 1790000000057;

describe('the migration of schedule feeds, with rows', () => {
  let database: MigratedDatabase;
  let dataSource: DataSource;

  beforeAll(async () => {
    database = await MigratedDatabase.create();
    dataSource = await database.upTo(LAST);
  }, 60_000);
  afterAll(() => database?.close());

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
