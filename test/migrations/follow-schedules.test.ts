import { describe, expect, it } from '@jest/globals';
import { insertPrincipal, insertSchedule, migratedTo, rowId } from '../support/migrated.js';

const LAST = 1790000000059;

describe('the migration of schedules that follow others, with rows', () => {
  const migrated = migratedTo(LAST);

  it('notes each follower once when a run ends, whoever ends it, and takes its fires back', async () => {
    await insertPrincipal(migrated.dataSource);
    const insert = async (number: number, name: string, after: string | null): Promise<void> => {
      await insertSchedule(migrated.dataSource, number, name, {
        after_name: after,
        after_from: new Date(Date.now() - 60_000),
      });
    };
    await insert(2, 'first', null);
    await insert(3, 'second', 'first');
    await insert(4, 'third', 'second');
    await migrated.dataSource.query(
      `INSERT INTO document_version (id, space, number, digest, kind, name, source, parsed, created_by)
       VALUES ($1, 'default', 1, 'd', 'Runbook', 'r', '', '{}', 'olga')`,
      [rowId(5)],
    );
    await migrated.dataSource.query(
      `INSERT INTO run (id, space, runbook, version_id, version, state, workflow_id, inputs, target_set_digest, target_count,
         undetermined_count, max_concurrency, counts, requested_by, schedule_id, deadline_at)
       VALUES ($1, 'default', 'r', $2, 'd', 'running', 'w', '{}', '', 0, 0, 1, '{}', $3, $4, now())`,
      [rowId(6), rowId(5), rowId(1), rowId(2)],
    );
    await migrated.dataSource.query(`UPDATE run SET state = 'failed', ended_at = now() WHERE id = $1`, [rowId(6)]);
    await migrated.dataSource.query(`UPDATE run SET summary = 'again' WHERE id = $1`, [rowId(6)]);
    expect(await migrated.dataSource.query(`SELECT schedule_id, run_id, decided_at FROM schedule_follow`)).toEqual([
      { schedule_id: rowId(3), run_id: rowId(6), decided_at: null },
    ]);
    const fire = (source: string): Promise<unknown> =>
      migrated.dataSource.query(
        `INSERT INTO fire (schedule_id, nominal_at, source, outcome, reason, settled_at) VALUES ($1, now(), $2, 'fired', '', now())`,
        [rowId(3), source],
      );
    await fire('after');
    await fire('nominal');
    await expect(fire('else')).rejects.toThrow(/check/);
    await migrated.dataSource.undoLastMigration();
    expect(await migrated.dataSource.query(`SELECT source FROM fire`)).toEqual([{ source: 'nominal' }]);
    await expect(fire('after')).rejects.toThrow(/check/);
    await migrated.dataSource.runMigrations();
  });
});
