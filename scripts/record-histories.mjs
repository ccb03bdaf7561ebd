// `npm run record-histories [-- --replace]`: plays the scenarios of test/replay/scenarios.ts on a stack of its own and writes the
// histories of all workflows to test/replay/histories. With --replace recordings of the present engine version that other code made are
// removed: for code that was never released. The last line is `N passed, N failed, N skipped`.
import { join } from 'node:path';
import { ensureDebianPackages } from '../test/support/debian-packages.mjs';
import { endWithSummary, report, runJest } from './jest.mjs';
import { root, say, setUp, StageError } from './stages.mjs';

await endWithSummary(async () => {
  const given = process.argv.slice(2);
  const unknown = given.filter((arg) => arg !== '--replace');
  if (unknown.length > 0) throw new StageError(`unknown: ${unknown.join(' ')}. It knows --replace alone.`);
  await setUp();
  await ensureDebianPackages(['openssh-server', 'openssh-client', 'openssl']);
  const { obtainTemporal } = await import(join(root, 'apps/cli/dist/up/temporal-binary.js'));
  const temporal = await obtainTemporal({ env: process.env, report: say });
  say('recording the histories');
  const outcome = await runJest(['--config', 'test/replay/jest.record.config.mjs', '--runInBand'], {
    FETTLE_TEMPORAL_CLI: temporal,
    FETTLE_REPLACE: given.includes('--replace') ? '1' : '',
  });
  return report(outcome);
});
