import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { MigratedDatabase } from '../support/migrated.js';

const LAST = 1790000000056;
const id = (number: number): string => `01900000-0000-7000-8000-${String(number).padStart(12, '0')}`;

describe('the migrations of calendars, with rows', () => {
  let database: MigratedDatabase;
  let dataSource: DataSource;

  const insertDocument = (number: number, kind: string): Promise<unknown> =>
    dataSource.query(`INSERT INTO document (id, space, kind, name) VALUES ($1, 'default', $2, 'one')`, [
      id(number),
      kind,
    ]);

  beforeAll(async () => {
    database = await MigratedDatabase.create();
    dataSource = await database.upTo(LAST);
  }, 60_000);
  afterAll(() => database?.close());

  it('take calendars as documents, and what runs and targets wait for', async () => {
    await expect(insertDocument(9, 'Almanac')).rejects.toThrow(/document_kind_check/);
    await insertDocument(1, 'Calendar');
    await insertDocument(2, 'Runbook');
    await insertDocument(3, 'Capacity');
    await dataSource.query(`INSERT INTO principal (id, name, kind) VALUES ($1, 'p', 'person')`, [id(5)]);
    await dataSource.query(
      `INSERT INTO document_version (id, space, document_id, number, digest, kind, name, source, parsed, created_by)
       VALUES ($1, 'default', $2, 1, 'd', 'Calendar', 'one', '', '{}', 'p'), ($3, 'default', $4, 1, 'r', 'Runbook', 'one', '', '{}', 'p')`,
      [id(6), id(1), id(7), id(2)],
    );
    await dataSource.query(`UPDATE document SET current_version_id = $2 WHERE id = $1`, [id(1), id(6)]);
    const [run]: object[] = await dataSource.query(
      `SELECT column_name FROM information_schema.columns WHERE table_name = 'run' AND column_name IN ('calendar', 'opens_at', 'closed_since')`,
    );
    expect(run).toBeDefined();
  });

  it('go back, taking calendars alone with them', async () => {
    await dataSource.undoLastMigration();
    await dataSource.undoLastMigration();
    const rows: { kind: string }[] = await dataSource.query(`SELECT kind FROM document ORDER BY kind`);
    expect(rows.map(({ kind }) => kind)).toEqual(['Capacity', 'Runbook']);
    const versions: { kind: string }[] = await dataSource.query(`SELECT kind FROM document_version`);
    expect(versions.map(({ kind }) => kind)).toEqual(['Runbook']);
    await expect(insertDocument(8, 'Calendar')).rejects.toThrow(/document_kind_check/);
    const columns: unknown[] = await dataSource.query(
      `SELECT 1 FROM information_schema.columns WHERE (table_name, column_name) IN (('run', 'calendar'), ('run', 'closed_since'), ('run_target', 'closed'))`,
    );
    expect(columns).toEqual([]);
    await dataSource.runMigrations();
    await insertDocument(8, 'Calendar');
  });
});
