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
