import { afterAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { createEmptyDatabase, createTestDatabase, startPostgres, type TestDatabase } from '../support/postgres.js';
import { startTemporal, testTemporal } from '../support/temporal.js';
import { canConnect } from '../../apps/cli/dist/up/ports.js';

const databases: TestDatabase[] = [];

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text)).rows as unknown[];
  } finally {
    await client.end();
  }
}

afterAll(async () => {
  for (const database of databases) await database.close();
});

describe('servers for tests', () => {
  it('gives each caller a database of its own, in UTF-8, sorted by code point', async () => {
    const [first, second] = await Promise.all([createTestDatabase(), createEmptyDatabase()]);
    databases.push(first, second);
    await query(first.url, 'create table only_here (id int)');
    expect(await query(second.url, "select to_regclass('only_here') as found")).toEqual([{ found: null }]);
    expect(await query(first.url, 'show server_encoding')).toEqual([{ server_encoding: 'UTF8' }]);
    const sorted = await query(second.url, `select x from (values ('ä'), ('Z'), ('a'), ('ß')) as v(x) order by x`);
    expect(sorted).toEqual([{ x: 'Z' }, { x: 'a' }, { x: 'ß' }, { x: 'ä' }]);
    expect(await query(second.url, `select upper('größe') as x`)).toEqual([{ x: 'GRÖßE' }]);
  });

  it('keeps what was committed when Postgres is killed, on the same port', async () => {
    const postgres = await startPostgres();
    try {
      await query(postgres.url(), 'create table kept as select 42 as answer');
      const idle = new pg.Client({ connectionString: postgres.url() });
      idle.on('error', () => undefined);
      await idle.connect();
      const before = postgres.pid;
      await postgres.kill();
      expect(postgres.pid).toBeUndefined();
      await postgres.start();
      expect(postgres.pid).not.toBe(before);
      expect(await query(postgres.url(), 'select answer from kept')).toEqual([{ answer: 42 }]);
    } finally {
      await postgres.close();
    }
  }, 60_000);

  it('starts a Temporal server that comes back after a kill with its namespaces', async () => {
    expect(testTemporal().taskQueue).not.toBe(testTemporal().taskQueue);
    const temporal = await startTemporal();
    const port = Number(temporal.address.split(':')[1]);
    try {
      await temporal.createNamespace('mine');
      await temporal.kill();
      expect(await canConnect('127.0.0.1', port)).toBe(false);
      await temporal.start();
      await expect(temporal.createNamespace('mine')).rejects.toThrow('mine');
    } finally {
      await temporal.close();
    }
  }, 60_000);
});
