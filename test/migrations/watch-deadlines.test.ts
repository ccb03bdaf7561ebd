import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { MigratedDatabase } from '../support/migrated.js';

const LAST = 1790000000060;

describe('the migration of deadlines, with rows', () => {
  let database: MigratedDatabase;
  let dataSource: DataSource;

  beforeAll(async () => {
    database = await MigratedDatabase.create();
    dataSource = await database.upTo(LAST);
  }, 60_000);
  afterAll(() => database?.close());

  const id = (last: number): string => `01900000-0000-7000-8000-00000000000${last}`;

  it('opens a row for each fire of a schedule that has deadlines, of those by time and by other schedules', async () => {
    await dataSource.query(`INSERT INTO principal (id, name, kind) VALUES ($1, 'olga', 'person')`, [id(1)]);
    for (const [number, name, startMs] of [
      [2, 'with', 60_000],
      [3, 'without', null],
    ] as const) {
      await dataSource.query(`INSERT INTO document (id, space, kind, name) VALUES ($1, 'default', 'Schedule', $2)`, [
        id(number),
        name,
      ]);
      await dataSource.query(
        `INSERT INTO schedule (id, space, name, created_by, watermark, must_start_ms) VALUES ($1, 'default', $2, $3, now(), $4)`,
        [id(number), name, id(1), startMs],
      );
    }
    const fire = (number: number, source: string, code: string, at: string): Promise<unknown> =>
      dataSource.query(
        `INSERT INTO fire (schedule_id, nominal_at, source, outcome, code, reason, settled_at) VALUES ($1, $2, $3, 'skipped', $4, '', now())`,
        [id(number), at, source, code],
      );
    await fire(2, 'nominal', 'overlap', '2026-01-01T00:00:00Z');
    await fire(2, 'after', 'overlap', '2026-01-01T00:00:00Z');
    await fire(2, 'trigger', '', '2026-01-01T00:00:00Z');
    await fire(2, 'nominal', 'paused', '2026-01-02T00:00:00Z');
    await fire(3, 'nominal', '', '2026-01-01T00:00:00Z');
    const rows = await dataSource.query<{ source: string; kind: string; due_at: Date }[]>(
      `SELECT source, kind, due_at FROM schedule_deadline ORDER BY source`,
    );
    const dueAt = new Date('2026-01-01T00:01:00Z');
    expect(rows).toEqual([
      { source: 'after', kind: 'start', due_at: dueAt },
      { source: 'nominal', kind: 'start', due_at: dueAt },
    ]);
    await expect(dataSource.query(`UPDATE schedule_deadline SET raised_at = now()`)).rejects.toThrow(/check/);
    await dataSource.undoLastMigration();
    await fire(2, 'nominal', '', '2026-01-03T00:00:00Z');
    await dataSource.runMigrations();
  });
});
