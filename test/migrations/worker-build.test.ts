import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { claimRun } from '@fettle/database';
import type { DataSource } from 'typeorm';
import { MigratedDatabase, insertRun, insertRunbook, rowId } from '../support/migrated.js';

const BEFORE = 1790000000057;
const own = 'AddWorkerBuild1790000000058';

describe('the migration of the build of a run, with rows', () => {
  let database: MigratedDatabase;
  let dataSource: DataSource;

  beforeAll(async () => {
    database = await MigratedDatabase.create();
    const before = await database.upTo(BEFORE);
    await insertRunbook(before);
    await insertRun(before, 10, 'running');
    await insertRun(before, 11, 'queued');
    dataSource = await database.upTo(BEFORE + 1);
  }, 60_000);
  afterAll(() => database?.close());

  const builds = (): Promise<unknown> =>
    dataSource.query(`SELECT id, engine_version AS version, worker_build AS build FROM run ORDER BY id`);

  it('leaves open runs unpinned, and a run that is taken up after it has its build', async () => {
    expect(await builds()).toMatchObject([{ build: null }, { build: null }]);
    const taken = await dataSource.transaction((transaction) =>
      claimRun(transaction, rowId(11), 'execution', '1+0', 'fettle:1+0'),
    );
    expect([taken !== null, await builds()]).toMatchObject([
      true,
      [{ build: null }, { version: '1+0', build: 'fettle:1+0' }],
    ]);
  });

  it('goes down and up again over rows that are there', async () => {
    await dataSource.undoLastMigration();
    const rows: { name: string }[] = await dataSource.query(`SELECT name FROM migration WHERE name = $1`, [own]);
    expect(rows).toEqual([]);
    await dataSource.runMigrations();
    expect(await builds()).toMatchObject([{ build: null }, { version: '1+0', build: null }]);
  });
});
