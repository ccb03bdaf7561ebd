import { describe, expect, it } from '@jest/globals';
import { insertPrincipal, insertSchedule, migratedTo, rowId } from '../support/migrated.js';

const LAST = 1790000000068;

describe('the migrations of notifications of schedules, with rows', () => {
  const migrated = migratedTo(LAST);

  const notify = JSON.stringify([
    { on: ['refused', 'missed'], uses: 'notify.webhook', with: { url: 'http://one/' } },
    { on: ['deadline-missed', 'quarantined', 'missed'], uses: 'notify.mail', with: {} },
  ]);
  const rows = (): Promise<{ item: number; state: string; uses: string; reason: string }[]> =>
    migrated.dataSource.query(
      `SELECT item, state, uses, news ->> 'reason' AS reason FROM schedule_notification ORDER BY at, item`,
    );
  const fire = (number: number, day: number, outcome: string, code: string): Promise<unknown> =>
    migrated.dataSource.query(
      `INSERT INTO fire (schedule_id, nominal_at, source, outcome, code, reason, settled_at)
       VALUES ($1, $2, 'nominal', $3, $4, 'because', now())`,
      [rowId(number), new Date(Date.UTC(2026, 0, day)), outcome, code],
    );

  it('write a row for each that is told, once, and none where nobody is told', async () => {
    await insertPrincipal(migrated.dataSource);
    for (const [number, name, told] of [
      [2, 'telling', notify],
      [3, 'silent', null],
    ] as const) {
      await insertSchedule(migrated.dataSource, number, name, { must_start_ms: 60_000, notify: told });
      await fire(number, 1, 'missed', 'late');
      await fire(number, 2, 'missed', 'superseded');
      await fire(number, 3, 'fired', '');
      await fire(number, 4, 'queued', 'overlap');
    }
    expect(await rows()).toEqual([
      { item: 0, state: 'missed', uses: 'notify.webhook', reason: 'because' },
      { item: 1, state: 'missed', uses: 'notify.mail', reason: 'because' },
    ]);
    // What waited comes to its end, and is written once more as it is.
    for (let twice = 0; twice < 2; twice += 1)
      await migrated.dataSource.query(
        `UPDATE fire SET outcome = 'refused', code = 'denied', reason = 'no' WHERE outcome IN ('queued', 'refused')`,
      );
    await migrated.dataSource.query(
      `UPDATE schedule_deadline SET raised_at = now(), reason = 'too late' WHERE nominal_at = '2026-01-03T00:00:00Z'`,
    );
    await migrated.dataSource.query(`UPDATE schedule SET quarantine_reason = 'never due'`);
    await migrated.dataSource.query(`UPDATE schedule SET quarantine_reason = 'never due at all'`);
    expect((await rows()).slice(2)).toEqual([
      { item: 0, state: 'refused', uses: 'notify.webhook', reason: 'no' },
      { item: 1, state: 'deadline-missed', uses: 'notify.mail', reason: 'too late' },
      { item: 1, state: 'quarantined', uses: 'notify.mail', reason: 'never due' },
    ]);
    const owners: unknown[] = await migrated.dataSource.query(`SELECT DISTINCT schedule_id FROM schedule_notification`);
    expect(owners).toEqual([{ schedule_id: rowId(2) }]);
    await migrated.dataSource.undoLastMigration();
    await migrated.dataSource.undoLastMigration();
    await fire(2, 5, 'missed', 'late');
    await migrated.dataSource.runMigrations();
  });
});
