import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { listDueSchedules, listEndedDurations, readScheduleRuns } from '@fettle/database';
import type { DataSource } from 'typeorm';
import { MigratedDatabase } from '../support/migrated.js';

const LAST = 1790000000064;

describe('the migration that measures runs of schedules, with rows', () => {
  let database: MigratedDatabase;
  let dataSource: DataSource;
  beforeAll(async () => {
    database = await MigratedDatabase.create();
    dataSource = await database.upTo(LAST);
  }, 60_000);
  afterAll(() => database?.close());

  const id = (last: number): string => `01900000-0000-7000-8000-00000000000${last}`;

  it('finds open, last and failed runs of a schedule by index, and goes back', async () => {
    await dataSource.query(`INSERT INTO principal (id, name, kind) VALUES ($1, 'olga', 'person')`, [id(1)]);
    await dataSource.query(`INSERT INTO document (id, space, kind, name) VALUES ($1, 'default', 'Schedule', 's')`, [
      id(2),
    ]);
    await dataSource.query(
      `INSERT INTO schedule (id, space, name, created_by, watermark, failures_from, waiting, queued)
       VALUES ($1, 'default', 's', $2, now(), now() - interval '30 days', 1, 1)`,
      [id(2), id(1)],
    );
    await dataSource.query(
      `INSERT INTO document_version (id, space, number, digest, kind, name, source, parsed, created_by)
       VALUES ($1, 'default', 1, 'd', 'Runbook', 'r', '', '{}', 'olga')`,
      [id(5)],
    );
    // Each a minute long, of which the tenth stood still for half a minute.
    await dataSource.query(
      `INSERT INTO run (id, space, runbook, version_id, version, state, workflow_id, inputs, target_set_digest, target_count,
         undetermined_count, max_concurrency, counts, requested_by, schedule_id, deadline_at, started_at, ended_at, closed_ms)
       SELECT gen_random_uuid(), 'default', 'r', $1, 'd', 'succeeded', n::text, '{}', '', 0, 0, 1, '{}', $2, $3, now(),
         now() - n * interval '1 minute', now() - (n - 1) * interval '1 minute', CASE WHEN n = 10 THEN 30000 ELSE 0 END
       FROM generate_series(1, 20000) AS n`,
      [id(5), id(1), id(2)],
    );
    await dataSource.query(`ANALYZE run`);
    const options = { failuresFrom: new Date(0), withLastEnd: true };
    expect(await readScheduleRuns(dataSource.manager, id(2), options)).toMatchObject({
      ...{ openRunIds: [], lastEndedAt: expect.any(Date), failed: null },
    });
    expect(await listDueSchedules(dataSource.manager, 0, [], 10)).toEqual([id(2)]);
    const took = await listEndedDurations(dataSource.manager, { space: 'default', among: 20_000, each: 20_000 });
    expect([took.length, ...new Set(took.map(({ durationMs }) => durationMs))].sort()).toEqual([
      20_000, 30_000, 60_000,
    ]);

    const plans: { sql: string; index: string }[] = [
      { sql: `SELECT id FROM run WHERE schedule_id = $1 AND ended_at IS NULL`, index: 'run_schedule_ended' },
      { sql: `SELECT max(ended_at) FROM run WHERE schedule_id = $1`, index: 'run_schedule_ended' },
      {
        sql: `SELECT id FROM run WHERE schedule_id = $1 AND state IN ('failed', 'timed-out') AND ended_at > now() - interval '30 days'`,
        index: 'run_schedule_failed',
      },
      // As the poll asks of each schedule that a failure would pause.
      {
        sql: `SELECT id FROM schedule s WHERE failures_from IS NOT NULL AND $1::uuid IS NOT NULL AND EXISTS (SELECT 1 FROM run r
                WHERE r.schedule_id = s.id AND r.state IN ('failed', 'timed-out') AND r.ended_at > s.failures_from)`,
        index: 'run_schedule_failed',
      },
      {
        sql: `SELECT id FROM schedule s WHERE queued > 0 AND $1::uuid IS NOT NULL
                AND NOT EXISTS (SELECT 1 FROM run r WHERE r.schedule_id = s.id AND r.ended_at IS NULL)`,
        index: 'run_',
      },
    ];
    for (const { sql, index } of plans) {
      const rows: { 'QUERY PLAN': [{ Plan: object }] }[] = await dataSource.query(
        `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${sql}`,
        [id(2)],
      );
      const plan = rows[0]!['QUERY PLAN'][0].Plan as { 'Shared Hit Blocks': number; 'Shared Read Blocks': number };
      expect(JSON.stringify(plan)).toContain(`"Index Name":"${index}`);
      // The table has hundreds of blocks.
      expect(plan['Shared Hit Blocks'] + plan['Shared Read Blocks']).toBeLessThan(20);
    }
    await dataSource.undoLastMigration();
    expect(
      await dataSource.query(`SELECT 1 FROM pg_indexes WHERE indexname ~ '^run_schedule_(ended|failed)$'`),
    ).toEqual([]);
    await dataSource.runMigrations();
  });
});
