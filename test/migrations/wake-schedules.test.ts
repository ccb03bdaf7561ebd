import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { MigratedDatabase, insertPrincipal, insertSchedule, rowId } from '../support/migrated.js';

const BEFORE = 1790000000072;

describe('the migrations that have schedules woken together, with rows', () => {
  let database: MigratedDatabase;
  let dataSource: DataSource;

  beforeAll(async () => {
    database = await MigratedDatabase.create();
    const before = await database.upTo(BEFORE);
    await insertPrincipal(before);
    for (const number of [2, 3]) {
      await insertSchedule(before, number, `s${number}`);
    }
    dataSource = await database.upTo(BEFORE + 2);
  }, 60_000);
  afterAll(() => database?.close());

  it('leave schedules without an entry, and have those that they had deleted', async () => {
    expect(await dataSource.query(`SELECT name, wake_id FROM schedule ORDER BY name`)).toEqual([
      { name: 's2', wake_id: null },
      { name: 's3', wake_id: null },
    ]);
    expect(await dataSource.query(`SELECT kind, subject, sent_at FROM outbox ORDER BY subject`)).toEqual(
      [2, 3].map((number) => ({ kind: 'delete-schedule', subject: `schedule-${rowId(number)}`, sent_at: null })),
    );
  });

  it('go back', async () => {
    await dataSource.undoLastMigration();
    await dataSource.undoLastMigration();
    expect(await dataSource.query(`SELECT kind FROM outbox`)).toEqual([]);
    expect(
      await dataSource.query(
        `SELECT column_name FROM information_schema.columns WHERE table_name = 'schedule' AND column_name = 'wake_id'`,
      ),
    ).toEqual([]);
  });
});
