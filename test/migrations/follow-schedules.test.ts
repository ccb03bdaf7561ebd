import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { MigratedDatabase } from '../support/migrated.js';

const LAST = 1790000000059;

describe('the migration of schedules that follow others, with rows', () => {
  let database: MigratedDatabase;
  let dataSource: DataSource;

  beforeAll(async () => {
    database = await MigratedDatabase.create();
    dataSource = await database.upTo(LAST);
  }, 60_000);
  afterAll(() => database?.close());

  const id = (last: number): string => `01900000-0000-7000-8000-00000000000${last}`;

  it('notes each follower once when a run ends, whoever ends it, and takes its fires back', async () => {
    await dataSource.query(`INSERT INTO principal (id, name, kind) VALUES ($1, 'olga', 'person')`, [id(1)]);
    const insert = async (number: number, name: string, after: string | null): Promise<void> => {
      await dataSource.query(`INSERT INTO document (id, space, kind, name) VALUES ($1, 'default', 'Schedule', $2)`, [
        id(number),
        name,
      ]);
      await dataSource.query(
        `INSERT INTO schedule (id, space, name, created_by, watermark, after_name, after_from)
         VALUES ($1, 'default', $2, $3, now(), $4, now() - interval '1 minute')`,
        [id(number), name, id(1), after],
      );
    };
    await insert(2, 'first', null);
    await insert(3, 'second', 'first');
    await insert(4, 'third', 'second');
    await dataSource.query(
      `INSERT INTO document_version (id, space, number, digest, kind, name, source, parsed, created_by)
       VALUES ($1, 'default', 1, 'd', 'Runbook', 'r', '', '{}', 'olga')`,
      [id(5)],
    );
    await dataSource.query(
      `INSERT INTO run (id, space, runbook, version_id, version, state, workflow_id, inputs, target_set_digest, target_count,
         undetermined_count, max_concurrency, counts, requested_by, schedule_id, deadline_at)
       VALUES ($1, 'default', 'r', $2, 'd', 'running', 'w', '{}', '', 0, 0, 1, '{}', $3, $4, now())`,
      [id(6), id(5), id(1), id(2)],
    );
    await dataSource.query(`UPDATE run SET state = 'failed', ended_at = now() WHERE id = $1`, [id(6)]);
    await dataSource.query(`UPDATE run SET summary = 'again' WHERE id = $1`, [id(6)]);
    expect(await dataSource.query(`SELECT schedule_id, run_id, decided_at FROM schedule_follow`)).toEqual([
      { schedule_id: id(3), run_id: id(6), decided_at: null },
    ]);
    const fire = (source: string): Promise<unknown> =>
      dataSource.query(
        `INSERT INTO fire (schedule_id, nominal_at, source, outcome, reason, settled_at) VALUES ($1, now(), $2, 'fired', '', now())`,
        [id(3), source],
      );
    await fire('after');
    await fire('nominal');
    await expect(fire('else')).rejects.toThrow(/check/);
    await dataSource.undoLastMigration();
    expect(await dataSource.query(`SELECT source FROM fire`)).toEqual([{ source: 'nominal' }]);
    await expect(fire('after')).rejects.toThrow(/check/);
    await dataSource.runMigrations();
  });
});
