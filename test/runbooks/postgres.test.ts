import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { ensureDebianPackages } from '../support/debian-packages.js';
import { createEmptyDatabase, type TestDatabase } from '../support/postgres.js';
import { ended, PATIENCE_MS, ReadyMadeHosts } from '../support/ready-made-hosts.js';

describe('the maintenance of a real Postgres', () => {
  let hosts: ReadyMadeHosts;

  beforeAll(async () => {
    await ensureDebianPackages(['postgresql-client']);
    hosts = await ReadyMadeHosts.start(['postgres-maintenance']);
  }, PATIENCE_MS);

  afterAll(async () => {
    await hosts?.close();
  }, PATIENCE_MS);

  it(
    'postgres-maintenance: rebuilds what a build left invalid, and says so where it cannot',
    async () => {
      const database: TestDatabase = await createEmptyDatabase();
      const url = new URL(database.url);
      const client = new pg.Client({ connectionString: database.url });
      await client.connect();
      try {
        await hosts.stack.addCredential('db-password', 'password', decodeURIComponent(url.password) || 'none');
        const name = url.pathname.slice(1);
        const inputs = {
          database: name,
          connection: `host=${url.hostname} port=${url.port} user=${decodeURIComponent(url.username)}`,
          password: 'db-password',
          runAs: 'root',
          reindexTables: ['orders'],
        };
        await client.query('CREATE TABLE orders (number integer, note text)');
        await client.query('INSERT INTO orders (number) VALUES (1), (2), (2)');
        // Both fail and leave what they began: one under its own name, one as REINDEX calls it.
        await expect(client.query('CREATE UNIQUE INDEX CONCURRENTLY orders_number ON orders (number)')).rejects.toThrow(
          /could not create unique index/,
        );
        await expect(client.query('REINDEX INDEX CONCURRENTLY orders_number')).rejects.toThrow(
          /could not create unique index/,
        );
        const indexes = async (): Promise<string[]> => {
          const { rows } = await client.query<{ text: string }>(
            `SELECT relname || CASE WHEN indisvalid THEN '' ELSE ' invalid' END AS text
           FROM pg_index JOIN pg_class ON oid = indexrelid WHERE indrelid = 'orders'::regclass ORDER BY 1`,
          );
          return rows.map(({ text }) => text);
        };
        expect(await indexes()).toEqual(['orders_number invalid', 'orders_number_ccnew invalid']);
        // One of its TOAST table, which a rebuild that waited for a writer too long leaves behind.
        const writer = new pg.Client({ connectionString: database.url });
        await writer.connect();
        try {
          await writer.query('BEGIN');
          await writer.query('UPDATE orders SET note = note');
          await client.query(`SET lock_timeout = '500ms'`);
          await expect(client.query('REINDEX TABLE CONCURRENTLY orders')).rejects.toThrow(/lock timeout/);
          await client.query('RESET lock_timeout');
        } finally {
          await writer.end();
        }
        const invalidToast = async (): Promise<number> => {
          const { rowCount } = await client.query(
            `SELECT FROM pg_index JOIN pg_class ON oid = indexrelid
           WHERE NOT indisvalid AND relnamespace = 'pg_toast'::regnamespace`,
          );
          return rowCount ?? 0;
        };
        expect(await invalidToast()).toBe(1);

        const hopeless = await hosts.go('postgres-maintenance', inputs);
        expect(ended(hopeless)).toMatchObject({ state: 'failed', steps: { clear: 'command-failed' } });
        expect(await indexes()).toContain('orders_number invalid');

        await client.query('DELETE FROM orders WHERE ctid NOT IN (SELECT min(ctid) FROM orders GROUP BY number)');
        const mended = await hosts.go('postgres-maintenance', inputs);
        expect(ended(mended)).toMatchObject({ state: 'succeeded' });
        expect(await indexes()).toEqual(['orders_number']);
        expect(await invalidToast()).toBe(0);
        const { rows } = await client.query<{ vacuumed: boolean }>(
          `SELECT last_vacuum IS NOT NULL AS vacuumed FROM pg_stat_user_tables WHERE relname = 'orders'`,
        );
        expect(rows).toEqual([{ vacuumed: true }]);
      } finally {
        await client.end();
        await database.close();
      }
    },
    PATIENCE_MS,
  );
});
