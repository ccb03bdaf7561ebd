import { randomBytes } from 'node:crypto';
import pg from 'pg';

export { startScratchPostgres as startPostgres, type ScratchPostgres } from '../../apps/cli/dist/up/scratch-servers.js';

export interface TestDatabase {
  /** postgres://... of a database that belongs to this test file alone. */
  readonly url: string;
  /** Cuts all its connections and drops it. */
  close(): Promise<void>;
}

/** A database of its own with the current schema, cloned from the migrated template: some tens of milliseconds. */
export function createTestDatabase(): Promise<TestDatabase> {
  return createDatabase('fettle_template');
}

/** A database of its own with nothing in it. */
export function createEmptyDatabase(): Promise<TestDatabase> {
  return createDatabase('template0');
}

async function createDatabase(template: string): Promise<TestDatabase> {
  const name = `test_${randomBytes(8).toString('hex')}`;
  await administrate(`create database ${name} template ${template}`);
  return {
    url: databaseUrl(name),
    close: () => administrate(`drop database if exists ${name} with (force)`),
  };
}

function databaseUrl(name: string): string {
  const url = new URL(serverUrl());
  url.pathname = `/${name}`;
  return url.href;
}

function serverUrl(): string {
  const url = process.env.FETTLE_TEST_POSTGRES_URL;
  if (url === undefined)
    throw new Error('FETTLE_TEST_POSTGRES_URL is not set: run this file in the jest project `real`');
  return url;
}

async function administrate(statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: serverUrl() });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
