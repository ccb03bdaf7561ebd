import { describe, expect, it } from '@jest/globals';
import { migratedTo } from '../support/migrated.js';

const LAST = 1790000000057;

describe('the migration of schedule feeds, with rows', () => {
  const migrated = migratedTo(LAST);

  const principal = '01900000-0000-7000-8000-000000000001';

  it('holds hashes alone, goes with its principal, and can be undone', async () => {
    await migrated.dataSource.query(`INSERT INTO principal (id, name, kind) VALUES ($1, 'olga', 'person')`, [
      principal,
    ]);
    const insert = (hash: Buffer): Promise<unknown> =>
      migrated.dataSource.query(
        `INSERT INTO schedule_feed (id, space, principal_id, name, hash) VALUES (gen_random_uuid(), 'default', $1, 'phone', $2)`,
        [principal, hash],
      );
    await expect(insert(Buffer.from('the token itself'))).rejects.toThrow(/check/);
    await insert(Buffer.alloc(32));
    await migrated.dataSource.query(`DELETE FROM principal WHERE id = $1`, [principal]);
    expect(await migrated.dataSource.query(`SELECT 1 FROM schedule_feed`)).toEqual([]);
    await migrated.dataSource.undoLastMigration();
    await expect(migrated.dataSource.query(`SELECT 1 FROM schedule_feed`)).rejects.toThrow(/does not exist/);
    await migrated.dataSource.runMigrations();
  });
});
