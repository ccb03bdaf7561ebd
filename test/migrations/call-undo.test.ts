import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { MigratedDatabase } from '../support/migrated.js';

const OWN = 1790000000052;

describe('the migration of the undo of calls, with rows', () => {
  let database: MigratedDatabase;
  let dataSource: DataSource;
  const id = (number: number): string => `01900000-0000-7000-8000-${String(number).padStart(12, '0')}`;

  beforeAll(async () => {
    database = await MigratedDatabase.create();
    const before = await database.upTo(OWN - 1);
    await before.query(`INSERT INTO principal (id, name, kind) VALUES ($1, 'tester', 'person')`, [id(1)]);
    await before.query(
      `INSERT INTO document_version (id, space, document_id, number, digest, kind, name, source, parsed, created_by)
       VALUES ($1, 'default', NULL, 1, 'd', 'Runbook', 'r', 's', '{}', 'tester')`,
      [id(2)],
    );
    await before.query(
      `INSERT INTO run (id, space, runbook, version_id, version, state, workflow_id, inputs, target_set_digest, target_count,
         undetermined_count, max_concurrency, counts, requested_by, deadline_at)
       VALUES ($1::uuid, 'default', 'r', $2, 'd', 'running', 'w', '{}', '', 0, 0, 1, '{}', $3, now())`,
      [id(10), id(2), id(1)],
    );
    dataSource = await database.upTo(OWN);
  }, 60_000);
  afterAll(() => database?.close());

  const rows = (): Promise<unknown> => dataSource.query(`SELECT undo, undone_at, undoes, has_undo FROM run`);
  const none = [{ undo: null, undone_at: null, undoes: 'nothing', has_undo: false }];

  it('finds nothing to undo in runs that are under way, and refuses what cannot be', async () => {
    expect(await rows()).toEqual(none);
    await expect(dataSource.query(`UPDATE run SET undoes = 'some'`)).rejects.toThrow(/undoes_check/);
    await dataSource.query(`UPDATE run SET undoes = 'all', has_undo = true, undo = '[]'`);
  });

  it('goes down and up again over rows that are there', async () => {
    await dataSource.undoLastMigration();
    await dataSource.runMigrations();
    expect(await rows()).toEqual(none);
  });
});
