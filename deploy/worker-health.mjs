// Health of a worker's container, which serves no port: from this very address a worker listens for commands to send.
import pg from 'pg';

const QUERY = `SELECT count(*)::int AS listening FROM pg_stat_activity
  WHERE application_name LIKE 'fettle-worker-listen%' AND client_addr IS NOT DISTINCT FROM inet_client_addr()`;

const client = new pg.Client({
  connectionString: process.env.DATABASE_URL,
  connectionTimeoutMillis: 3000,
  query_timeout: 3000,
});
try {
  await client.connect();
  const { rows } = await client.query(QUERY);
  process.exitCode = rows[0].listening > 0 ? 0 : 1;
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
} finally {
  await client.end().catch(() => undefined);
}
