// `npm test [-- JEST-ARGUMENTS]`: everything the tests need, then all of them. `--long` runs those that have a long mode, in
// it, and writes test/LONG-RESULTS.md unless files are named. The last line is `N passed, N failed, N skipped`.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkDisk, checkNode, checkNpm } from '../apps/cli/preflight.mjs';
import { endWithSummary, report, run, runJest } from './jest.mjs';
import { LONG_RESULTS, longTestFiles, writeLongResults } from './long-tests.mjs';
import { revision } from './revision.mjs';
import { isInstalled, root, say, setUp, StageError } from './stages.mjs';

/** What the tests run for real and Debian packages; without them the tests fail, they never skip. */
const DEBIAN_PACKAGES = ['openssh-server', 'openssh-client', 'sudo', 'procps', 'openssl'];

/**
 * Random choices are the same in each `npm test`, so that it tells of the change alone; `--long` makes others each time, and says
 * which. A failure found there is played again with FETTLE_SEED.
 */
const SEED = process.env.FETTLE_SEED ?? '20261123';

/** Each has a database and a task queue of its own, and waits (for heartbeats, for hosts) most of the time. */
const FILES_AT_ONCE = 2;

const args = process.argv.slice(2);
const isLong = args.includes('--long');
const given = args.filter((arg) => arg !== '--long');

/** Benchmarks are a project of their own, and no tests. */
const withProjects = (jestArgs) =>
  jestArgs.includes('--selectProjects') ? jestArgs : ['--selectProjects', 'unit', 'real', '--', ...jestArgs];

await endWithSummary(async () => {
  const checks = [checkNode(), ...(isInstalled() ? [] : [checkNpm(), checkDisk(root, 'install')])].filter(
    ({ ok }) => !ok,
  );
  if (checks.length > 0) throw new StageError(checks.map(({ detail, remedy }) => `${detail}. ${remedy}`).join('\n'));
  await setUp();
  await run(process.execPath, [join(root, 'test/support/debian-packages.mjs'), ...DEBIAN_PACKAGES]);
  // Built here, where minutes do not count against a test's own limit.
  const { obtainTemporal } = await import(join(root, 'apps/cli/dist/up/temporal-binary.js'));
  const temporal = await obtainTemporal({ env: process.env, report: say });
  if (isLong) return runLong(temporal);
  say('running the tests');
  const jestArgs = [`--maxWorkers=${FILES_AT_ONCE}`, ...withProjects(given)];
  return report(await runJest(jestArgs, { FETTLE_TEMPORAL_CLI: temporal, FETTLE_LONG: '', FETTLE_SEED: SEED }));
});

async function runLong(temporal) {
  const folder = mkdtempSync(join(tmpdir(), 'fettle-figures-'));
  const figuresFile = join(folder, 'figures');
  writeFileSync(figuresFile, '');
  const files = given.length > 0 ? given : longTestFiles();
  say(`running with full counts: ${files.join(' ')}`);
  const startedAtMs = Date.now();
  const commit = revision(root);
  try {
    const settings = { FETTLE_TEMPORAL_CLI: temporal, FETTLE_LONG: '1', FETTLE_FIGURES_OUT: figuresFile };
    // One after the other: what is killed at a moment must not be starved by another file.
    const outcome = await runJest(['--runInBand', ...withProjects(files)], settings);
    if (given.length === 0) {
      writeLongResults(outcome, readFileSync(figuresFile, 'utf8').split('\n'), Date.now() - startedAtMs, commit);
      say(`${LONG_RESULTS} is written`);
    }
    return report(outcome);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
