// What the scripts that run tests share: jest as a child, its JSON, and the last line `N passed, N failed, N skipped`.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readJson, root, StageError } from './stages.mjs';

/** Sets the exit code that `main` resolves to; where it fails, that is a failed test. */
export async function endWithSummary(main) {
  try {
    process.exitCode = await main();
  } catch (error) {
    process.stderr.write(`${error instanceof StageError ? error.message : (error?.stack ?? error)}\n`);
    process.stdout.write('0 passed, 1 failed, 0 skipped\n');
    process.exitCode = 1;
  }
}

/** Jest's JSON (undefined where it wrote none) and its exit code; `settings` are added to the environment. */
export async function runJest(jestArgs, settings) {
  const folder = mkdtempSync(join(tmpdir(), 'fettle-jest-'));
  const resultFile = join(folder, 'result.json');
  const jest = join(root, 'node_modules/jest/bin/jest.js');
  const nodeOptions = `${process.env.NODE_OPTIONS ?? ''} --experimental-vm-modules --disable-warning=ExperimentalWarning`;
  try {
    const code = await run(process.execPath, [jest, '--json', `--outputFile=${resultFile}`, ...jestArgs], {
      env: { ...process.env, ...settings, NODE_OPTIONS: nodeOptions.trim() },
      // Jest's own report goes to stderr; its JSON is read from the file.
      stdio: ['ignore', 'ignore', 'inherit'],
      mayFail: true,
    });
    return { result: readJson(resultFile), code };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A file that does not even load counts as a failed test; so does a run in which nothing ran. */
export function countTests({ result, code }) {
  const passed = result?.numPassedTests ?? 0;
  const skipped = (result?.numPendingTests ?? 0) + (result?.numTodoTests ?? 0);
  let failed = (result?.numFailedTests ?? 0) + (result?.numRuntimeErrorTestSuites ?? 0);
  if (failed === 0 && (code !== 0 || passed === 0)) failed = 1;
  return { failed, line: `${passed} passed, ${failed} failed, ${skipped} skipped` };
}

/** Prints the last line; the exit code. */
export function report(outcome) {
  const { failed, line } = countTests(outcome);
  process.stdout.write(`${line}\n`);
  return failed === 0 ? 0 : 1;
}

/** Runs a command in the checkout, its output on ours, and hands signals on to it. */
export function run(command, commandArgs, { mayFail = false, ...options } = {}) {
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
