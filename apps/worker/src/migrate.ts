import { createDataSource } from '@fettle/database';
import { migrations } from '@fettle/migrations';

/** Brings the database named by DATABASE_URL to the newest schema; one at a time, under an advisory lock. */
const MIGRATION_LOCK = 7_070_001;

async function migrate(url: string): Promise<void> {
  const dataSource = await createDataSource({ url, poolSize: 2, applicationName: 'fettle-migrate', migrations });
  const runner = dataSource.createQueryRunner();
  try {
    await runner.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    const applied = await dataSource.runMigrations();
    process.stdout.write(
      `${JSON.stringify({ msg: 'migrated', applied: applied.map((migration) => migration.name) })}\n`,
    );
    await runner.query('SELECT pg_advisory_unlock($1)', [MIGRATION_LOCK]);
  } finally {
    await runner.release();
    await dataSource.destroy();
  }
}

const url = process.env.DATABASE_URL;
if (!url) {
  process.stderr.write('DATABASE_URL is not set. Set it to postgres://USER:PASSWORD@HOST:PORT/DATABASE.\n');
  process.exit(1);
}
migrate(url).catch((error: unknown) => {
  process.stderr.write(
    `Migration failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  process.exit(1);
});
