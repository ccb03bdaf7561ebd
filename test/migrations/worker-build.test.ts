import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { claimRun } from '@fettle/database';
import type { DataSource } from 'typeorm';
import { MigratedDatabase } from '../support/migrated.js';

const BEFORE = 1790000000057;
const own = 'AddWorkerBuild1790000000058';

describe('the migration of the build of a run, with rows', () => {
  let database: MigratedDatabase;
  let dataSource: DataSource;
  const id = (number: number): string => `01900000-0000-7000-8000-${String(number).padStart(12, '0')}`;

  beforeAll(async () => {
    database = await MigratedDatabase.create();
    const before = await database.upTo(BEFORE);
    await before.query(`INSERT INTO principal (id, name, kind) VALUES ($1, 'tester', 'person')`, [id(1)]);
    await before.query(
      `INSERT INTO document_version (id, space, document_id, number, digest, kind, name, source, parsed, created_by)
       VALUES ($1, 'default', NULL, 1, 'd', 'Runbook', 'r', 's', '{}', 'tester')`,
      [id(2)],
    );
    for (const [number, state] of [
      [10, 'running'],
      [11, 'queued'],
    ] as const) {
      await before.query(
        `INSERT INTO run (id, space, runbook, version_id, version, state, workflow_id, inputs, target_set_digest, target_count,
           undetermined_count, max_concurrency, counts, requested_by, deadline_at)
         VALUES ($1::uuid, 'default', 'r', $2, 'd', $4, 'w-' || $1::uuid, '{}', '', 0, 0, 1, '{}', $3, now())`,
        [id(number), id(2), id(1), state],
      );
    }
    dataSource = await database.upTo(BEFORE + 1);
  }, 60_000);
  afterAll(() => database?.close());

  const builds = (): Promise<unknown> =>
    dataSource.query(`SELECT id, engine_version AS version, worker_build AS build FROM run ORDER BY id`);

  it('leaves open runs unpinned, and a run that is taken up after it has its build', async () => {
    expect(await builds()).toMatchObject([{ build: null }, { build: null }]);
    const taken = await dataSource.transaction((transaction) =>
      claimRun(transaction, id(11), 'execution', '1+0', 'fettle:1+0'),
    );
    expect([taken, await builds()]).toMatchObject([true, [{ build: null }, { version: '1+0', build: 'fettle:1+0' }]]);
  });

  it('goes down and up again over rows that are there', async () => {
    await dataSource.undoLastMigration();
    const rows: { name: string }[] = await dataSource.query(`SELECT name FROM migration WHERE name = $1`, [own]);
    expect(rows).toEqual([]);
    await dataSource.runMigrations();
    expect(await builds()).toMatchObject([{ build: null }, { version: '1+0', build: null }]);
  });
});
