import { afterAll, beforeAll } from '@jest/globals';
import { createDataSource } from '@fettle/database';
import { migrations } from '@fettle/migrations';
import type { DataSource } from 'typeorm';
import { createEmptyDatabase, type TestDatabase } from './postgres.js';

/** A database of its own that has the migrations up to one of them, by the number at the end of its name. */
export class MigratedDatabase {
  readonly #database: TestDatabase;
  readonly #opened: DataSource[] = [];

  private constructor(database: TestDatabase) {
    this.#database = database;
  }

  static async create(): Promise<MigratedDatabase> {
    return new MigratedDatabase(await createEmptyDatabase());
  }

  /** Connects and runs the migrations up to this one that have not run yet. */
  async upTo(last: number): Promise<DataSource> {
    const dataSource = await createDataSource({
      url: this.#database.url,
      poolSize: 2,
      applicationName: 'fettle-test',
      migrations: migrations.filter((migration) => Number(migration.name.slice(-13)) <= last),
    });
    this.#opened.push(dataSource);
    await dataSource.runMigrations();
    return dataSource;
  }

  async close(): Promise<void> {
    for (const dataSource of this.#opened) await dataSource.destroy();
    await this.#database.close();
  }
}

/** The same for the tests of one file: made before the first of them and dropped after the last. */
export function migratedTo(last: number): { readonly dataSource: DataSource } {
  let database: MigratedDatabase;
  let dataSource: DataSource;
  beforeAll(async () => {
    database = await MigratedDatabase.create();
    dataSource = await database.upTo(last);
  }, 60_000);
  afterAll(() => database?.close());
  return {
    get dataSource() {
      return dataSource;
    },
  };
}

export function rowId(number: number): string {
  return `01900000-0000-7000-8000-${String(number).padStart(12, '0')}`;
}

/** Whom other rows name: row 1. */
export async function insertPrincipal(dataSource: DataSource): Promise<void> {
  await dataSource.query(`INSERT INTO principal (id, name, kind) VALUES ($1, 'olga', 'person')`, [rowId(1)]);
}

/** A version of a runbook, row 2, for runs to be of, and the principal who asks for them. */
export async function insertRunbook(dataSource: DataSource): Promise<void> {
  await insertPrincipal(dataSource);
  await dataSource.query(
    `INSERT INTO document_version (id, space, document_id, number, digest, kind, name, source, parsed, created_by)
     VALUES ($1, 'default', NULL, 1, 'd', 'Runbook', 'r', 's', '{}', 'olga')`,
    [rowId(2)],
  );
}

/** A run of that runbook; it has ended where its state says so. */
export async function insertRun(dataSource: DataSource, number: number, state: string): Promise<void> {
  await dataSource.query(
    `INSERT INTO run (id, space, runbook, version_id, version, state, workflow_id, inputs, target_set_digest, target_count,
       undetermined_count, max_concurrency, counts, requested_by, deadline_at, ended_at)
     VALUES ($1::uuid, 'default', 'r', $2, 'd', $4, 'w-' || $1::uuid, '{}', '', 0, 0, 1, '{}', $3, now(),
       CASE WHEN $4 IN ('succeeded', 'failed', 'cancelled', 'timed-out') THEN now() END)`,
    [rowId(number), rowId(2), rowId(1), state],
  );
}

/** A schedule of the principal, with its document, and with columns that migrations have added. */
export async function insertSchedule(
  dataSource: DataSource,
  number: number,
  name: string,
  columns: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  await dataSource.query(`INSERT INTO document (id, space, kind, name) VALUES ($1, 'default', 'Schedule', $2)`, [
    rowId(number),
    name,
  ]);
  await dataSource.query(
    `INSERT INTO schedule (id, space, name, created_by, watermark) VALUES ($1, 'default', $2, $3, now())`,
    [rowId(number), name, rowId(1)],
  );
  for (const [column, value] of Object.entries(columns))
    await dataSource.query(`UPDATE schedule SET ${column} = $2 WHERE id = $1`, [rowId(number), value]);
}
