import { describe, expect, it } from '@jest/globals';
import { insertPrincipal, insertSchedule, migratedTo, rowId } from '../support/migrated.js';

const LAST = 1790000000060;

describe('the migration of deadlines, with rows', () => {
  const migrated = migratedTo(LAST);

  it('opens a row for each fire of a schedule that has deadlines, of those by time and by other schedules', async () => {
    await insertPrincipal(migrated.dataSource);
    for (const [number, name, startMs] of [
      [2, 'with', 60_000],
      [3, 'without', null],
    ] as const) {
      await insertSchedule(migrated.dataSource, number, name, { must_start_ms: startMs });
    }
    const fire = (number: number, source: string, code: string, at: string): Promise<unknown> =>
      migrated.dataSource.query(
        `INSERT INTO fire (schedule_id, nominal_at, source, outcome, code, reason, settled_at) VALUES ($1, $2, $3, 'skipped', $4, '', now())`,
        [rowId(number), at, source, code],
      );
    await fire(2, 'nominal', 'overlap', '2026-01-01T00:00:00Z');
    await fire(2, 'after', 'overlap', '2026-01-01T00:00:00Z');
    await fire(2, 'trigger', '', '2026-01-01T00:00:00Z');
    await fire(2, 'nominal', 'paused', '2026-01-02T00:00:00Z');
    await fire(3, 'nominal', '', '2026-01-01T00:00:00Z');
    const rows = await migrated.dataSource.query<{ source: string; kind: string; due_at: Date }[]>(
      `SELECT source, kind, due_at FROM schedule_deadline ORDER BY source`,
    );
    const dueAt = new Date('2026-01-01T00:01:00Z');
    expect(rows).toEqual([
      { source: 'after', kind: 'start', due_at: dueAt },
      { source: 'nominal', kind: 'start', due_at: dueAt },
    ]);
    await expect(migrated.dataSource.query(`UPDATE schedule_deadline SET raised_at = now()`)).rejects.toThrow(/check/);
    await migrated.dataSource.undoLastMigration();
    await fire(2, 'nominal', '', '2026-01-03T00:00:00Z');
    await migrated.dataSource.runMigrations();
  });
});
