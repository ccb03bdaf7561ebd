// Before the tests of project `real`: one Postgres with a migrated template database, and one Temporal server.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

export default async function setUp() {
  const { startScratchPostgres, startScratchTemporal } = await importScratchServers();
  const [postgres, temporal] = await Promise.all([
    startScratchPostgres({ durable: process.env.FETTLE_TEST_FSYNC === '1' }),
    startScratchTemporal(),
  ]);
  globalThis.fettleTestServers = [postgres, temporal];
  await postgres.ensureDatabase('fettle_template');
  migrate(postgres.url('fettle_template'));
  process.env.FETTLE_TEST_POSTGRES_URL = postgres.url();
  process.env.FETTLE_TEST_TEMPORAL_ADDRESS = temporal.address;
}

async function importScratchServers() {
  const built = `${root}apps/cli/dist/up/scratch-servers.js`;
  if (!existsSync(built)) throw new Error('the project is not built: run `npm run build` first');
  return import(built);
}

function migrate(url) {
  const script = `${root}apps/worker/dist/migrate.js`;
  if (!existsSync(script)) {
    process.stderr.write(
      'no migrations yet (apps/worker/dist/migrate.js is missing): the template database stays empty\n',
    );
    return;
  }
  const result = spawnSync(process.execPath, [script], {
    env: { ...process.env, DATABASE_URL: url },
    encoding: 'utf8',
  });
  if (result.status !== 0)
    throw new Error(`the migrations failed (${result.status}):\n${result.stdout}${result.stderr}`);
}
