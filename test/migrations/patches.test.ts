import { describe, expect, it } from '@jest/globals';
import { migratedTo, rowId } from '../support/migrated.js';

const LAST = 1790000000072;

describe('the migrations of patches, with rows', () => {
  const migrated = migratedTo(LAST);

  it('keep one row a version in a space, and let go of an asset with what it said', async () => {
    await migrated.dataSource.query(
      `INSERT INTO asset (id, space, name, kind) VALUES ($1, 'default', 'web', 'server')`,
      [rowId(1)],
    );
    const version = `INSERT INTO patch_version (space, manager, name, architecture, version, is_security)
                     VALUES ('default', $1, 'app', 'all', '1.0', false)`;
    await migrated.dataSource.query(version, ['apt']);
    await migrated.dataSource.query(version, ['dnf']);
    await expect(migrated.dataSource.query(version, ['apt'])).rejects.toThrow(/duplicate key/);
    await expect(migrated.dataSource.query(version, ['pip'])).rejects.toThrow(/check/);
    const scan = `INSERT INTO patch_scan (asset_id, run_id, manager, packages, offers, is_interrupted, reboot, reboot_reasons)
                  VALUES ($1, $2, 'apt', '[]', $3, false, 'unknown', '{}')`;
    await expect(migrated.dataSource.query(scan, [rowId(1), rowId(2), '{}'])).rejects.toThrow(/check/);
    await migrated.dataSource.query(scan, [rowId(1), rowId(2), '[]']);
    const install = `INSERT INTO patch_install (token, step_token, asset_id, run_id, selection, results) VALUES ('t', 't', $1, $2, '{}', $3)`;
    await expect(migrated.dataSource.query(install, [rowId(1), rowId(2), '[]'])).rejects.toThrow(/check/);
    await migrated.dataSource.query(install, [rowId(1), rowId(2), null]);
    await migrated.dataSource.query(
      `INSERT INTO attempt_memo (token, run_id, asset_id, value) VALUES ('t', $1, $2, '{}')`,
      [rowId(2), rowId(1)],
    );
    await migrated.dataSource.query(`DELETE FROM asset`);
    const left = await migrated.dataSource.query<
      { scans: number; installs: number; memos: number; versions: number }[]
    >(
      `SELECT (SELECT count(*)::int FROM patch_scan) AS scans, (SELECT count(*)::int FROM patch_install) AS installs,
         (SELECT count(*)::int FROM attempt_memo) AS memos, (SELECT count(*)::int FROM patch_version) AS versions`,
    );
    expect(left).toEqual([{ scans: 0, installs: 0, memos: 0, versions: 2 }]);
    for (const table of ['attempt_memo', 'patch_install', 'patch_scan', 'patch_version']) {
      await migrated.dataSource.undoLastMigration();
      const found = await migrated.dataSource.query<{ at: string | null }[]>(`SELECT to_regclass($1)::text AS at`, [
        table,
      ]);
      expect(found).toEqual([{ at: null }]);
    }
    await migrated.dataSource.runMigrations();
  });
});
