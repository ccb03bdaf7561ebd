import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { MigratedDatabase, insertRun, insertRunbook, rowId } from '../support/migrated.js';

const [STOPPED_AT, FINALLY_LEFT] = [1790000000065, 1790000000066];

describe('the migrations of targets that a cancel stops, with rows', () => {
  let database: MigratedDatabase;
  let dataSource: DataSource;

  beforeAll(async () => {
    database = await MigratedDatabase.create();
    const before = await database.upTo(STOPPED_AT - 1);
    await insertRunbook(before);
    await insertRun(before, 10, 'running');
    await before.query(
      `INSERT INTO run_target (run_id, asset_id, asset_name, state, step_index, generation, due_at, outputs)
       VALUES ($1, $2, 'web1', 'running', 1, 1, now(), '{}')`,
      [rowId(10), rowId(20)],
    );
    await database.upTo(STOPPED_AT);
    dataSource = await database.upTo(FINALLY_LEFT);
  }, 60_000);
  afterAll(() => database?.close());

  const rows = (): Promise<unknown> =>
    dataSource.query(`SELECT asset_name, stopped_at, finally_left FROM run_target ORDER BY asset_name`);
  const none = [{ asset_name: 'web1', stopped_at: null, finally_left: null }];

  it('say nothing of targets that are under way', async () => {
    expect(await rows()).toEqual(none);
    await dataSource.query(`UPDATE run_target SET stopped_at = 'each[a]/work', finally_left = '["each[a]/clean"]'`);
    expect(await rows()).toEqual([{ asset_name: 'web1', stopped_at: 'each[a]/work', finally_left: ['each[a]/clean'] }]);
  });

  it('go down and up again over rows that are there', async () => {
    await dataSource.undoLastMigration();
    await dataSource.undoLastMigration();
    await dataSource.runMigrations();
    expect(await rows()).toEqual(none);
  });
});
