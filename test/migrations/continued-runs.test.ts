import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { MigratedDatabase, insertRun, insertRunbook, rowId } from '../support/migrated.js';

const LAST = 1790000000046;
const own = ['AddContinuedRuns1790000000041', 'AddCarriedSteps1790000000046'];

describe('the migrations of continued runs, with rows', () => {
  let database: MigratedDatabase;
  let dataSource: DataSource;

  beforeAll(async () => {
    database = await MigratedDatabase.create();
    dataSource = await database.upTo(LAST);
    await insertRunbook(dataSource);
  }, 60_000);
  afterAll(() => database?.close());

  const continueRun = (number: number, of: number, how: string | null): Promise<unknown> =>
    dataSource.query(`UPDATE run SET continues = $2, continued_how = $3 WHERE id = $1`, [
      rowId(number),
      rowId(of),
      how,
    ]);

  it('hold what a run continues, and how, and outlive the run that is continued', async () => {
    await insertRun(dataSource, 10, 'failed');
    await insertRun(dataSource, 11, 'failed');
    await expect(continueRun(11, 10, 'again')).rejects.toThrow(/check/);
    await expect(continueRun(11, 10, null)).rejects.toThrow(/run_continues_check/);
    await expect(continueRun(11, 99, 'resume')).rejects.toThrow(/foreign key/);
    await continueRun(11, 10, 'resume');
    await dataSource.query(`DELETE FROM run WHERE id = $1`, [rowId(10)]);
    expect(await dataSource.query(`SELECT continues, continued_how FROM run`)).toEqual([
      { continues: null, continued_how: 'resume' },
    ]);
  });

  it('go down and up again over rows that are there', async () => {
    await insertRun(dataSource, 12, 'failed');
    await dataSource.query(
      `INSERT INTO run_step (run_id, asset_id, step, generation, lane_epoch, token, state, started_at, ended_at, carried_from, resolution)
       VALUES ($1, $2, 's', 1, 1, 't', 'unknown', now(), now(), $1, '{"as": "done"}')`,
      [rowId(12), rowId(20)],
    );
    const applied = async (): Promise<string[]> =>
      (await dataSource.query<{ name: string }[]>(`SELECT name FROM migration ORDER BY id`)).map((row) => row.name);
    while ((await applied()).some((name) => own.includes(name))) await dataSource.undoLastMigration();
    await dataSource.runMigrations();
    expect(await dataSource.query(`SELECT step, state, carried_from, resolution FROM run_step`)).toEqual([
      { step: 's', state: 'unknown', carried_from: null, resolution: null },
    ]);
    expect(await dataSource.query(`SELECT continues, memo FROM run WHERE id = $1`, [rowId(12)])).toEqual([
      { continues: null, memo: null },
    ]);
  });
});
