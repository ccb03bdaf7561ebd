import { describe, expect, it } from '@jest/globals';
import { migratedTo, rowId } from '../support/migrated.js';

const LAST = 1790000000084;

describe('the migration of patch baselines, with rows', () => {
  const migrated = migratedTo(LAST);

  const insertDocument = (number: number, kind: string): Promise<unknown> =>
    migrated.dataSource.query(`INSERT INTO document (id, space, kind, name) VALUES ($1, 'default', $2, 'one')`, [
      rowId(number),
      kind,
    ]);
  const kinds = async (): Promise<string[]> => {
    const rows: { kind: string }[] = await migrated.dataSource.query(`SELECT kind FROM document ORDER BY kind`);
    return rows.map(({ kind }) => kind);
  };

  it('takes them as documents, and goes back taking them alone with it', async () => {
    await insertDocument(1, 'PatchBaseline');
    await insertDocument(2, 'Calendar');
    await migrated.dataSource.query(
      `INSERT INTO document_version (id, space, document_id, number, digest, kind, name, source, parsed, created_by)
       VALUES ($1, 'default', $2, 1, 'd', 'PatchBaseline', 'one', '', '{}', 'p')`,
      [rowId(3), rowId(1)],
    );
    await migrated.dataSource.query(`UPDATE document SET current_version_id = $2 WHERE id = $1`, [rowId(1), rowId(3)]);
    expect(await kinds()).toEqual(['Calendar', 'PatchBaseline']);
    await migrated.dataSource.undoLastMigration();
    expect(await kinds()).toEqual(['Calendar']);
    await expect(insertDocument(4, 'PatchBaseline')).rejects.toThrow(/document_kind_check/);
    await migrated.dataSource.runMigrations();
    await insertDocument(4, 'PatchBaseline');
    await expect(insertDocument(5, 'Almanac')).rejects.toThrow(/document_kind_check/);
  });
});
