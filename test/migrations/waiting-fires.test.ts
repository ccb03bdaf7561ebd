import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { MigratedDatabase } from '../support/migrated.js';

const BEFORE = 1790000000052;
const LAST = 1790000000054;

describe('the migrations of fires that wait, with rows', () => {
  let database: MigratedDatabase;

  beforeAll(async () => {
    database = await MigratedDatabase.create();
  }, 60_000);
  afterAll(() => database?.close());

  it('keep the ledger as it was, hold waiting, triggered and stretched rows, and can be taken back', async () => {
    const before = await database.upTo(BEFORE);
    const id = '01900000-0000-7000-8000-000000000001';
    const old = `INSERT INTO fire (schedule_id, nominal_at, outcome, reason, settled_at) VALUES ($1, $2, $3, '', now())`;
    await before.query(old, [id, '2026-01-01T00:00:00Z', 'fired']);
    const after = await database.upTo(LAST);
    expect(await after.query(`SELECT source, instants, code, evidence FROM fire`)).toEqual([
      { source: 'nominal', instants: 1, code: '', evidence: {} },
    ]);
    // What an older worker still writes.
    await after.query(old, [id, '2026-01-01T01:00:00Z', 'skipped']);
    await expect(after.query(old, [id, '2026-01-01T01:00:00Z', 'fired'])).rejects.toThrow(/duplicate key/);
    const insert = (source: string, outcome: string, instants = 1, last: string | null = null): Promise<unknown> =>
      after.query(
        `INSERT INTO fire (schedule_id, nominal_at, source, outcome, reason, instants, last_nominal_at, settled_at)
         VALUES ($1, '2026-01-01T01:00:00Z', $2, $3, '', $4, $5, now())`,
        [id, source, outcome, instants, last],
      );
    await insert('trigger', 'queued');
    await insert('backfill', 'refused');
    await expect(insert('other', 'fired')).rejects.toThrow(/check/);
    await after.query(`DELETE FROM fire WHERE source = 'trigger'`);
    await expect(insert('trigger', 'vanished')).rejects.toThrow(/check/);
    await expect(insert('trigger', 'missed', 3)).rejects.toThrow(/check/);
    await insert('trigger', 'missed', 3, '2026-01-01T03:00:00Z');
    await after.undoLastMigration();
    await after.undoLastMigration();
    expect(await after.query(`SELECT outcome FROM fire ORDER BY nominal_at`)).toEqual([
      { outcome: 'fired' },
      { outcome: 'skipped' },
    ]);
  }, 60_000);
});
