import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { MigratedDatabase, insertRun, insertRunbook } from '../support/migrated.js';

const OWN = 1790000000052;

describe('the migration of the undo of calls, with rows', () => {
  let database: MigratedDatabase;
  let dataSource: DataSource;

  beforeAll(async () => {
    database = await MigratedDatabase.create();
    const before = await database.upTo(OWN - 1);
    await insertRunbook(before);
    await insertRun(before, 10, 'running');
    dataSource = await database.upTo(OWN);
  }, 60_000);
  afterAll(() => database?.close());

  const rows = (): Promise<unknown> => dataSource.query(`SELECT undo, undone_at, undoes, has_undo FROM run`);
  const none = [{ undo: null, undone_at: null, undoes: 'nothing', has_undo: false }];

  it('finds nothing to undo in runs that are under way, and refuses what cannot be', async () => {
    expect(await rows()).toEqual(none);
    await expect(dataSource.query(`UPDATE run SET undoes = 'some'`)).rejects.toThrow(/undoes_check/);
    await dataSource.query(`UPDATE run SET undoes = 'all', has_undo = true, undo = '[]'`);
  });

  it('goes down and up again over rows that are there', async () => {
    await dataSource.undoLastMigration();
    await dataSource.runMigrations();
    expect(await rows()).toEqual(none);
  });
});
