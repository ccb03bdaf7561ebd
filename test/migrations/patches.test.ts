import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { MigratedDatabase } from '../support/migrated.js';

const LAST = 1790000000072;

describe('the migrations of patches, with rows', () => {
  let database: MigratedDatabase;
  let dataSource: DataSource;

  beforeAll(async () => {
    database = await MigratedDatabase.create();
    dataSource = await database.upTo(LAST);
  }, 60_000);
  afterAll(() => database?.close());

  const id = (last: number): string => `01900000-0000-7000-8000-00000000000${last}`;

  it('keep one row a version in a space, and let go of an asset with what it said', async () => {
    await dataSource.query(`INSERT INTO asset (id, space, name, kind) VALUES ($1, 'default', 'web', 'server')`, [
      id(1),
    ]);
    const version = `INSERT INTO patch_version (space, manager, name, architecture, version, is_security)
                     VALUES ('default', $1, 'app', 'all', '1.0', false)`;
    await dataSource.query(version, ['apt']);
    await dataSource.query(version, ['dnf']);
    await expect(dataSource.query(version, ['apt'])).rejects.toThrow(/duplicate key/);
    await expect(dataSource.query(version, ['pip'])).rejects.toThrow(/check/);
    const scan = `INSERT INTO patch_scan (asset_id, run_id, manager, packages, offers, is_interrupted, reboot, reboot_reasons)
                  VALUES ($1, $2, 'apt', '[]', $3, false, 'unknown', '{}')`;
    await expect(dataSource.query(scan, [id(1), id(2), '{}'])).rejects.toThrow(/check/);
    await dataSource.query(scan, [id(1), id(2), '[]']);
    const install = `INSERT INTO patch_install (token, step_token, asset_id, run_id, selection, results) VALUES ('t', 't', $1, $2, '{}', $3)`;
    await expect(dataSource.query(install, [id(1), id(2), '[]'])).rejects.toThrow(/check/);
    await dataSource.query(install, [id(1), id(2), null]);
    await dataSource.query(`INSERT INTO attempt_memo (token, run_id, asset_id, value) VALUES ('t', $1, $2, '{}')`, [
      id(2),
      id(1),
    ]);
    await dataSource.query(`DELETE FROM asset`);
    const left = await dataSource.query<{ scans: number; installs: number; memos: number; versions: number }[]>(
      `SELECT (SELECT count(*)::int FROM patch_scan) AS scans, (SELECT count(*)::int FROM patch_install) AS installs,
         (SELECT count(*)::int FROM attempt_memo) AS memos, (SELECT count(*)::int FROM patch_version) AS versions`,
    );
    expect(left).toEqual([{ scans: 0, installs: 0, memos: 0, versions: 2 }]);
    for (const table of ['attempt_memo', 'patch_install', 'patch_scan', 'patch_version']) {
      await dataSource.undoLastMigration();
      const found = await dataSource.query<{ at: string | null }[]>(`SELECT to_regclass($1)::text AS at`, [table]);
      expect(found).toEqual([{ at: null }]);
    }
    await dataSource.runMigrations();
  });
});
