import { describe, expect, it } from '@jest/globals';
import { insertPrincipal, insertSchedule, migratedTo, rowId } from '../support/migrated.js';

const LAST = 1790000000077;
const DAY_MS = 86_400_000;

describe('the migration that limits what schedules tell, with rows', () => {
  const migrated = migratedTo(LAST);

  let fires = 0;
  const refuse = async (code: string, times: number): Promise<void> => {
    for (let count = 0; count < times; count += 1) {
      fires += 1;
      await migrated.dataSource.query(
        `INSERT INTO fire (schedule_id, nominal_at, source, outcome, code, reason, settled_at)
         VALUES ($1, $2, 'nominal', 'refused', $3, 'because', now())`,
        [rowId(2), new Date(Date.UTC(2026, 0, 1) + fires * DAY_MS), code],
      );
    }
  };
  const rows = (): Promise<unknown[]> =>
    migrated.dataSource.query(
      `SELECT item, news ->> 'code' AS code, (news ->> 'followed')::int AS followed, (news ->> 'untold')::int AS untold
       FROM schedule_notification ORDER BY at, item`,
    );

  it('tells of what is alike once an hour, and how often it was', async () => {
    await insertPrincipal(migrated.dataSource);
    const notify = JSON.stringify([{ on: ['refused'], uses: 'notify.webhook', with: { url: 'http://one/' } }]);
    await insertSchedule(migrated.dataSource, 2, 'often', { notify });
    await refuse('closed', 5);
    await refuse('denied', 1);
    const first = { item: 0, code: 'closed', followed: 4, untold: null };
    const other = { item: 0, code: 'denied', followed: null, untold: null };
    expect(await rows()).toEqual([first, other]);
    await migrated.dataSource.query(`UPDATE schedule_notification SET at = at - interval '61 minutes'`);
    await refuse('closed', 2);
    expect(await rows()).toEqual([first, other, { item: 0, code: 'closed', followed: 1, untold: 4 }]);
    // Before it, each was told.
    await migrated.dataSource.undoLastMigration();
    await refuse('closed', 2);
    expect(await rows()).toHaveLength(5);
    await migrated.dataSource.runMigrations();
  });
});
