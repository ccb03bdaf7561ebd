import { describe, expect, it } from '@jest/globals';
import { migratedTo } from '../support/migrated.js';

const LAST = 1790000000051;

describe('the migrations of plan checks, with rows', () => {
  const migrated = migratedTo(LAST);

  const id = '01900000-0000-7000-8000-000000000001';
  const insertCommand = (kind: string): Promise<unknown> =>
    migrated.dataSource.query(`INSERT INTO outbox (kind, subject, payload) VALUES ($1, 'x', '{}')`, [kind]);
  const kinds = async (): Promise<string[]> => {
    const rows: { kind: string }[] = await migrated.dataSource.query(`SELECT kind FROM outbox ORDER BY kind`);
    return rows.map((row) => row.kind);
  };

  it('hold what a check is and what it found, and refuse what it cannot be', async () => {
    const insert = (state: string, endedAt: string | null): Promise<unknown> =>
      migrated.dataSource.query(
        `INSERT INTO plan_check (id, space, runbook, plan_digest, subject, state, ended_at) VALUES ($1, 'default', 'r', 'd', '{}', $2, $3)`,
        [id, state, endedAt],
      );
    await expect(insert('running', '2026-01-01')).rejects.toThrow(/check/);
    await expect(insert('ended', null)).rejects.toThrow(/check/);
    await insert('waiting', null);
    const found = (result: string): Promise<unknown> =>
      migrated.dataSource.query(
        `INSERT INTO plan_check_result (check_id, position, path, uses, result, summary) VALUES ($1, 0, 'p', 'u', $2, '')`,
        [id, result],
      );
    await expect(found('perhaps')).rejects.toThrow(/check/);
    await found('would-change');
    await migrated.dataSource.query(`DELETE FROM plan_check WHERE id = $1`, [id]);
    expect(await migrated.dataSource.query(`SELECT 1 FROM plan_check_result`)).toEqual([]);
  });

  it('take back the commands of checks alone', async () => {
    await insertCommand('wake-run');
    await insertCommand('check-plan');
    await migrated.dataSource.undoLastMigration();
    expect(await kinds()).toEqual(['wake-run']);
    await expect(insertCommand('check-plan')).rejects.toThrow(/outbox_kind_check/);
    await migrated.dataSource.runMigrations();
    await insertCommand('check-plan');
    expect(await kinds()).toEqual(['check-plan', 'wake-run']);
  });
});
