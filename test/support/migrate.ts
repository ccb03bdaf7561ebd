import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('../../apps/worker/dist/migrate.js', import.meta.url));

/** Brings a database to the current schema with the very command that a start uses. */
export function migrateDatabase(url: string): void {
  const result = spawnSync(process.execPath, [script], {
    env: { ...process.env, NODE_OPTIONS: '', DATABASE_URL: url },
    encoding: 'utf8',
  });
  if (result.status !== 0)
    throw new Error(`the migrations failed (${result.status}):\n${result.stdout}${result.stderr}`);
}
