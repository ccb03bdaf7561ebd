import { describe, expect, it } from '@jest/globals';
import { migratedTo } from '../support/migrated.js';

describe('the migrations that find by run what goes with it', () => {
  const migrated = migratedTo(1790000000089);

  async function indexes(): Promise<string[]> {
    const rows: { indexname: string }[] = await migrated.dataSource.query(
      `SELECT indexname FROM pg_indexes WHERE indexname IN ('run_wait_child', 'run_signal_run') ORDER BY 1`,
    );
    return rows.map(({ indexname }) => indexname);
  }

  it('add an index each, and take it back', async () => {
    expect(await indexes()).toEqual(['run_signal_run', 'run_wait_child']);
    await migrated.dataSource.undoLastMigration();
    expect(await indexes()).toEqual(['run_wait_child']);
    await migrated.dataSource.undoLastMigration();
    expect(await indexes()).toEqual([]);
    await migrated.dataSource.runMigrations();
    expect(await indexes()).toEqual(['run_signal_run', 'run_wait_child']);
  });
});
