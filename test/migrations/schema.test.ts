import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createDataSource } from '@fettle/database';
import { migrations } from '@fettle/migrations';
import type { DataSource, EntityMetadata } from 'typeorm';
import { createEmptyDatabase, type TestDatabase } from '../support/postgres.js';

interface ColumnRow {
  readonly table: string;
  readonly name: string;
  readonly type: string;
  readonly isNullable: boolean;
}

let database: TestDatabase;
let dataSource: DataSource;

beforeAll(async () => {
  database = await createEmptyDatabase();
  dataSource = await createDataSource({
    url: database.url,
    poolSize: 2,
    applicationName: 'fettle-test',
    migrations: [...migrations],
  });
}, 60_000);
afterAll(async () => {
  await dataSource?.destroy();
  await database?.close();
});

function columns(): Promise<ColumnRow[]> {
  return dataSource.query(
    `SELECT table_name AS table, column_name AS name,
       CASE data_type WHEN 'ARRAY' THEN substr(udt_name, 2) || '[]' ELSE data_type END AS type, is_nullable = 'YES' AS "isNullable"
     FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2`,
  );
}

/** Columns, constraints, indexes and functions of the schema, as text to compare. */
async function inventory(): Promise<string[]> {
  const rows: { line: string }[] = await dataSource.query(
    `SELECT 'column ' || table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || coalesce(column_default, '')
       AS line FROM information_schema.columns WHERE table_schema = 'public'
     UNION ALL SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
       FROM pg_constraint WHERE connamespace = 'public'::regnamespace
     UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public'
     UNION ALL SELECT 'function ' || oid::regprocedure FROM pg_proc WHERE pronamespace = 'public'::regnamespace
     ORDER BY 1`,
  );
  return rows.map((row) => row.line).filter((line) => !/\bmigration\b|migration_|PK_/.test(line));
}

/** The type of an entity's column as information_schema names it. */
function entityType(entity: EntityMetadata, name: string): string {
  const column = entity.columns.find((one) => one.databaseName === name)!;
  const type = dataSource.driver.normalizeType(column);
  const names: Record<string, string> = { int8: 'bigint', int4: 'integer', timestamptz: 'timestamp with time zone' };
  const known = names[type] ?? type;
  return column.isArray ? `${known}[]` : known;
}

describe('the migrations', () => {
  it('go up from an empty database, and every one of them down and up again', async () => {
    await dataSource.runMigrations();
    const whole = await inventory();
    expect(whole.length).toBeGreaterThan(100);
    const inventories: string[][] = [];
    for (const migration of [...migrations].reverse()) {
      inventories.push(await inventory());
      await dataSource.undoLastMigration();
      expect(await appliedNames()).not.toContain(migration.name);
    }
    expect(await inventory()).toEqual([]);
    // Up one by one: each leaves what the way down through its successors had left.
    for (const expected of inventories.reverse()) {
      await applyNext();
      expect(await inventory()).toEqual(expected);
    }
    expect(await inventory()).toEqual(whole);
  }, 120_000);

  async function appliedNames(): Promise<string[]> {
    const rows: { name: string }[] = await dataSource.query(`SELECT name FROM migration ORDER BY id`);
    return rows.map((row) => row.name);
  }

  async function applyNext(): Promise<void> {
    const done = new Set(await appliedNames());
    const next = migrations.find((migration) => !done.has(migration.name))!;
    await dataSource.transaction(async (transaction) => {
      await new next().up(transaction.queryRunner!);
      await transaction.query(`INSERT INTO migration (timestamp, name) VALUES ($1, $2)`, [
        Number(next.name.slice(-13)),
        next.name,
      ]);
    });
  }

  it('give the tables and columns that the entities declare, with their types and nullability', async () => {
    const actual = await columns();
    expect(dataSource.entityMetadatas.length).toBeGreaterThanOrEqual(20);
    for (const entity of dataSource.entityMetadatas) {
      const declared = entity.columns.map((column) => ({
        table: entity.tableName,
        name: column.databaseName,
        type: entityType(entity, column.databaseName),
        isNullable: column.isNullable,
      }));
      const present = actual.filter((column) => column.table === entity.tableName);
      const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);
      expect(present.sort(byName)).toEqual(declared.sort(byName));
      const keys: { name: string }[] = await dataSource.query(
        `SELECT a.attname AS name FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
         WHERE i.indrelid = $1::regclass AND i.indisprimary ORDER BY 1`,
        [entity.tableName],
      );
      expect({ table: entity.tableName, key: keys.map((key) => key.name) }).toEqual({
        table: entity.tableName,
        key: entity.primaryColumns.map((column) => column.databaseName).sort(),
      });
    }
  });

  it('make the partitions of this month and the two that follow', async () => {
    const rows: { parent: string; name: string }[] = await dataSource.query(
      `SELECT inhparent::regclass::text AS parent, inhrelid::regclass::text AS name FROM pg_inherits
       JOIN pg_class c ON c.oid = inhrelid WHERE c.relkind IN ('r', 'p')`,
    );
    const now = new Date();
    for (const parent of ['entry', 'run_log', 'audit_record', 'fire']) {
      const expected = [0, 1, 2].map((months) => {
        const month = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + months, 1));
        return `${parent}_${month.toISOString().slice(0, 7).replace('-', '')}`;
      });
      const names = rows.filter((row) => row.parent === parent).map((row) => row.name);
      expect(names).toEqual(expect.arrayContaining([...expected, `${parent}_default`]));
    }
  });
});
