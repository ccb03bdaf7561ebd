import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { claimRun, createDataSource } from '@fettle/database';
import { migrations } from '@fettle/migrations';
import type { DataSource } from 'typeorm';
import { createEmptyDatabase, type TestDatabase } from '../support/postgres.js';

const BEFORE = 1790000000057;
const own = 'AddWorkerBuild1790000000058';

describe('the migration of the build of a run, with rows', () => {
  let database: TestDatabase;
  let dataSource: DataSource;
  const id = (number: number): string => `01900000-0000-7000-8000-${String(number).padStart(12, '0')}`;
  const open = (last: number): Promise<DataSource> =>
    createDataSource({
      url: database.url,
      poolSize: 2,
      applicationName: 'fettle-test',
      migrations: migrations.filter((migration) => Number(migration.name.slice(-13)) <= last),
    });

  beforeAll(async () => {
    database = await createEmptyDatabase();
    dataSource = await open(BEFORE);
    await dataSource.runMigrations();
    await dataSource.query(`INSERT INTO principal (id, name, kind) VALUES ($1, 'tester', 'person')`, [id(1)]);
    await dataSource.query(
      `INSERT INTO document_version (id, space, document_id, number, digest, kind, name, source, parsed, created_by)
       VALUES ($1, 'default', NULL, 1, 'd', 'Runbook', 'r', 's', '{}', 'tester')`,
      [id(2)],
    );
    for (const [number, state] of [
      [10, 'running'],
      [11, 'queued'],
    ] as const) {
      await dataSource.query(
        `INSERT INTO run (id, space, runbook, version_id, version, state, workflow_id, inputs, target_set_digest, target_count,
           undetermined_count, max_concurrency, counts, requested_by, deadline_at)
         VALUES ($1::uuid, 'default', 'r', $2, 'd', $4, 'w-' || $1::uuid, '{}', '', 0, 0, 1, '{}', $3, now())`,
        [id(number), id(2), id(1), state],
      );
    }
    await dataSource.destroy();
    dataSource = await open(BEFORE + 1);
    await dataSource.runMigrations();
  }, 60_000);
  afterAll(async () => {
    await dataSource?.destroy();
    await database?.close();
  });

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
