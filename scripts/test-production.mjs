// `npm run test:production`: the layout of docker-compose.yml without containers. Temporal's server from its Go module on
// Postgres, two APIs and two workers from the same entry points, configuration and secrets; one of each is killed during a run.
// Not part of `npm test`: building Temporal's server takes minutes. The last line is `N passed, N failed, N skipped`.
import { join } from 'node:path';
import { ensureDebianPackages } from '../test/support/debian-packages.mjs';
import { checkNode } from '../apps/cli/preflight.mjs';
import { endWithSummary, report, runJest } from './jest.mjs';
import { root, say, setUp, StageError } from './stages.mjs';
import { obtainTemporalServer } from './temporal-server-binaries.mjs';

/** docker-compose only judges the file; psql runs the script that makes the databases. */
const DEBIAN_PACKAGES = ['openssh-server', 'postgresql-client', 'docker-compose'];

await endWithSummary(async () => {
  const node = checkNode();
  if (!node.ok) throw new StageError(`${node.detail}. ${node.remedy}`);
  await setUp();
  await ensureDebianPackages(DEBIAN_PACKAGES);
  const server = await obtainTemporalServer({ env: process.env, say });
  const { obtainTemporal } = await import(join(root, 'apps/cli/dist/up/temporal-binary.js'));
  const cli = await obtainTemporal({ env: process.env, report: say });
  say('running the production layout');
  const outcome = await runJest(
    ['--config', 'test/production/jest.config.mjs', '--runInBand', ...process.argv.slice(2)],
    {
      FETTLE_TEMPORAL_CLI: cli,
      FETTLE_TEMPORAL_SERVER: server.server,
      FETTLE_TEMPORAL_SQL_TOOL: server.sqlTool,
      FETTLE_TEMPORAL_SCHEMA: server.schemaFolder,
    },
  );
  return report(outcome);
});
