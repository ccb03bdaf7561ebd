// `npm run test:production`: the layout of docker-compose.yml without containers. Temporal's server from its Go module on
// Postgres, two APIs and two workers from the same entry points, configuration and secrets; one of each is killed during a run.
// Not part of `npm test`: building Temporal's server takes minutes. The last line is `N passed, N failed, N skipped`.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureDebianPackages } from '../test/support/debian-packages.mjs';
import { checkNode } from '../apps/cli/preflight.mjs';
import { readJson, root, say, setUp, StageError } from './stages.mjs';
import { obtainTemporalServer } from './temporal-server-binaries.mjs';

/** docker-compose only judges the file; psql runs the script that makes the databases. */
const DEBIAN_PACKAGES = ['openssh-server', 'postgresql-client', 'docker-compose'];

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof StageError ? error.message : (error?.stack ?? error)}\n`);
  process.stdout.write('0 passed, 1 failed, 0 skipped\n');
  process.exitCode = 1;
}

async function main() {
  const node = checkNode();
  if (!node.ok) throw new StageError(`${node.detail}. ${node.remedy}`);
  await setUp();
  await ensureDebianPackages(DEBIAN_PACKAGES);
  const server = await obtainTemporalServer({ env: process.env, say });
  const { obtainTemporal } = await import(join(root, 'apps/cli/dist/up/temporal-binary.js'));
  const cli = await obtainTemporal({ env: process.env, report: say });
  say('running the production layout');
  return runJest({
    FETTLE_TEMPORAL_CLI: cli,
    FETTLE_TEMPORAL_SERVER: server.server,
    FETTLE_TEMPORAL_SQL_TOOL: server.sqlTool,
    FETTLE_TEMPORAL_SCHEMA: server.schemaFolder,
  });
}

function runJest(settings) {
  const folder = mkdtempSync(join(tmpdir(), 'fettle-jest-'));
  try {
    const resultFile = join(folder, 'result.json');
    const jest = [
      '--experimental-vm-modules',
      '--disable-warning=ExperimentalWarning',
      'node_modules/jest/bin/jest.js',
    ];
    const options = [
      '--config',
      'test/production/jest.config.mjs',
      '--runInBand',
      '--json',
      `--outputFile=${resultFile}`,
    ];
    const { status } = spawnSync(process.execPath, [...jest, ...options, ...process.argv.slice(2)], {
      cwd: root,
      env: { ...process.env, ...settings },
      // Jest's own report goes to stderr; its JSON is read from the file.
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const result = readJson(resultFile);
    const passed = result?.numPassedTests ?? 0;
    const failed = (result?.numFailedTests ?? 0) + (result?.numRuntimeErrorTestSuites ?? 0);
    const isBad = failed > 0 || status !== 0 || passed === 0;
    process.stdout.write(
      `${passed} passed, ${isBad ? Math.max(failed, 1) : 0} failed, ${result?.numPendingTests ?? 0} skipped\n`,
    );
    return isBad ? 1 : 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
