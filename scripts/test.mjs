// `npm test [-- JEST-ARGUMENTS]`: everything the tests need, then all of them. `--long` runs the full counts.
// The last line is `N passed, N failed, N skipped`.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkDisk, checkNode, checkNpm } from '../apps/cli/preflight.mjs';
import { isInstalled, readJson, root, say, setUp, StageError } from './stages.mjs';

/** What the tests run for real and Debian packages; without them the tests fail, they never skip. */
const DEBIAN_PACKAGES = ['openssh-server', 'openssh-client', 'sudo', 'procps', 'openssl'];

const args = process.argv.slice(2);
const isLong = args.includes('--long');
const given = args.filter((arg) => arg !== '--long');
/** Benchmarks are a project of their own, and no tests. */
const jestArgs = given.includes('--selectProjects') ? given : ['--selectProjects', 'unit', 'real', '--', ...given];

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof StageError ? error.message : (error?.stack ?? error)}\n`);
  process.stdout.write('0 passed, 1 failed, 0 skipped\n');
  process.exitCode = 1;
}

async function main() {
  const checks = [checkNode(), ...(isInstalled() ? [] : [checkNpm(), checkDisk(root, 'install')])].filter(
    ({ ok }) => !ok,
  );
  if (checks.length > 0) throw new StageError(checks.map(({ detail, remedy }) => `${detail}. ${remedy}`).join('\n'));
  await setUp();
  await run(process.execPath, [join(root, 'test/support/debian-packages.mjs'), ...DEBIAN_PACKAGES]);
  // Built here, where minutes do not count against a test's own limit.
  const { obtainTemporal } = await import(join(root, 'apps/cli/dist/up/temporal-binary.js'));
  const temporal = await obtainTemporal({ env: process.env, report: say });
  say(`running the tests${isLong ? ' with full counts' : ''}`);
  return runJest({ FETTLE_TEMPORAL_CLI: temporal, FETTLE_LONG: isLong ? '1' : '' });
}

async function runJest(settings) {
  const folder = mkdtempSync(join(tmpdir(), 'fettle-jest-'));
  const resultFile = join(folder, 'result.json');
  try {
    const jest = join(root, 'node_modules/jest/bin/jest.js');
    const code = await run(process.execPath, [jest, '--json', `--outputFile=${resultFile}`, ...jestArgs], {
      env: {
        ...process.env,
        ...settings,
        NODE_OPTIONS:
          `${process.env.NODE_OPTIONS ?? ''} --experimental-vm-modules --disable-warning=ExperimentalWarning`.trim(),
      },
      // Jest's own report goes to stderr; its JSON is read from the file.
      stdio: ['ignore', 'ignore', 'inherit'],
      mayFail: true,
    });
    return report(readJson(resultFile), code);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A file that does not even load counts as a failed test; so does a run in which nothing ran. */
function report(result, code) {
  const passed = result?.numPassedTests ?? 0;
  const skipped = (result?.numPendingTests ?? 0) + (result?.numTodoTests ?? 0);
  let failed = (result?.numFailedTests ?? 0) + (result?.numRuntimeErrorTestSuites ?? 0);
  if (failed === 0 && (code !== 0 || passed === 0)) failed = 1;
  process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`);
  return failed === 0 ? 0 : 1;
}

function run(command, commandArgs, { mayFail = false, ...options } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, commandArgs, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], ...options });
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (code === 0 || mayFail) resolve(code ?? 1);
      else reject(new StageError(`${commandArgs.join(' ')} failed (${signal ?? code})`));
    });
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => child.kill(signal));
  });
}
