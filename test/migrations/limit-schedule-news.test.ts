import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { MigratedDatabase } from '../support/migrated.js';

const LAST = 1790000000077;
const DAY_MS = 86_400_000;

describe('the migration that limits what schedules tell, with rows', () => {
  let database: MigratedDatabase;
  let dataSource: DataSource;

  beforeAll(async () => {
    database = await MigratedDatabase.create();
    dataSource = await database.upTo(LAST);
  }, 60_000);
  afterAll(() => database?.close());

  const id = (last: number): string => `01900000-0000-7000-8000-00000000000${last}`;
  let fires = 0;
  const refuse = async (code: string, times: number): Promise<void> => {
    for (let count = 0; count < times; count += 1) {
      fires += 1;
      await dataSource.query(
        `INSERT INTO fire (schedule_id, nominal_at, source, outcome, code, reason, settled_at)
         VALUES ($1, $2, 'nominal', 'refused', $3, 'because', now())`,
        [id(2), new Date(Date.UTC(2026, 0, 1) + fires * DAY_MS), code],
      );
    }
  };
  const rows = (): Promise<unknown[]> =>
    dataSource.query(
      `SELECT item, news ->> 'code' AS code, (news ->> 'followed')::int AS followed, (news ->> 'untold')::int AS untold
       FROM schedule_notification ORDER BY at, item`,
    );

  it('tells of what is alike once an hour, and how often it was', async () => {
    await dataSource.query(`INSERT INTO principal (id, name, kind) VALUES ($1, 'olga', 'person')`, [id(1)]);
    await dataSource.query(`INSERT INTO document (id, space, kind, name) VALUES ($1, 'default', 'Schedule', 'often')`, [
      id(2),
    ]);
    const notify = JSON.stringify([{ on: ['refused'], uses: 'notify.webhook', with: { url: 'http://one/' } }]);
    await dataSource.query(
      `INSERT INTO schedule (id, space, name, created_by, watermark, notify) VALUES ($1, 'default', 'often', $2, now(), $3)`,
      [id(2), id(1), notify],
    );
    await refuse('closed', 5);
    await refuse('denied', 1);
    const first = { item: 0, code: 'closed', followed: 4, untold: null };
    const other = { item: 0, code: 'denied', followed: null, untold: null };
    expect(await rows()).toEqual([first, other]);
    await dataSource.query(`UPDATE schedule_notification SET at = at - interval '61 minutes'`);
    await refuse('closed', 2);
    expect(await rows()).toEqual([first, other, { item: 0, code: 'closed', followed: 1, untold: 4 }]);
    // Before it, each was told.
    await dataSource.undoLastMigration();
    await refuse('closed', 2);
    expect(await rows()).toHaveLength(5);
    await dataSource.runMigrations();
  });
});
