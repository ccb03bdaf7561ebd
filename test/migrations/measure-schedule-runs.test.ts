import { describe, expect, it } from '@jest/globals';
import { listDueSchedules, listEndedDurations, readScheduleRuns } from '@fettle/database';
import { insertPrincipal, insertSchedule, migratedTo, rowId } from '../support/migrated.js';

const LAST = 1790000000064;

describe('the migration that measures runs of schedules, with rows', () => {
  const migrated = migratedTo(LAST);

  it('finds open, last and failed runs of a schedule by index, and goes back', async () => {
    await insertPrincipal(migrated.dataSource);
    await insertSchedule(migrated.dataSource, 2, 's', {
      failures_from: new Date(Date.now() - 30 * 86_400_000),
      waiting: 1,
      queued: 1,
    });
    await migrated.dataSource.query(
      `INSERT INTO document_version (id, space, number, digest, kind, name, source, parsed, created_by)
       VALUES ($1, 'default', 1, 'd', 'Runbook', 'r', '', '{}', 'olga')`,
      [rowId(5)],
    );
    // Each a minute long, of which the tenth stood still for half a minute.
    await migrated.dataSource.query(
      `INSERT INTO run (id, space, runbook, version_id, version, state, workflow_id, inputs, target_set_digest, target_count,
         undetermined_count, max_concurrency, counts, requested_by, schedule_id, deadline_at, started_at, ended_at, closed_ms)
       SELECT gen_random_uuid(), 'default', 'r', $1, 'd', 'succeeded', n::text, '{}', '', 0, 0, 1, '{}', $2, $3, now(),
         now() - n * interval '1 minute', now() - (n - 1) * interval '1 minute', CASE WHEN n = 10 THEN 30000 ELSE 0 END
       FROM generate_series(1, 20000) AS n`,
      [rowId(5), rowId(1), rowId(2)],
    );
    await migrated.dataSource.query(`ANALYZE run`);
    const options = { failuresFrom: new Date(0), withLastEnd: true };
    expect(await readScheduleRuns(migrated.dataSource.manager, rowId(2), options)).toMatchObject({
      ...{ openRunIds: [], lastEndedAt: expect.any(Date), failed: null },
    });
    expect(await listDueSchedules(migrated.dataSource.manager, 0, [], 10)).toEqual([rowId(2)]);
    const took = await listEndedDurations(migrated.dataSource.manager, {
      space: 'default',
      among: 20_000,
      each: 20_000,
    });
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
      const rows: { 'QUERY PLAN': [{ Plan: object }] }[] = await migrated.dataSource.query(
        `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${sql}`,
        [rowId(2)],
      );
      const plan = rows[0]!['QUERY PLAN'][0].Plan as { 'Shared Hit Blocks': number; 'Shared Read Blocks': number };
      expect(JSON.stringify(plan)).toContain(`"Index Name":"${index}`);
      // The table has hundreds of blocks.
      expect(plan['Shared Hit Blocks'] + plan['Shared Read Blocks']).toBeLessThan(20);
    }
    await migrated.dataSource.undoLastMigration();
    expect(
      await migrated.dataSource.query(`SELECT 1 FROM pg_indexes WHERE indexname ~ '^run_schedule_(ended|failed)$'`),
    ).toEqual([]);
    await migrated.dataSource.runMigrations();
  });
});
