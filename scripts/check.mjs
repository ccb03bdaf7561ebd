// `npm run check`: format, lint without warnings, types, boundaries and unit tests. Each stage is timed; all run even when
// one fails, so that one call shows everything.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { checkNode } from '../apps/cli/preflight.mjs';
import { root, say, setUp, StageError } from './stages.mjs';

const bin = (path) => join(root, 'node_modules', path);
const sources = ['libs', 'apps', 'activities', 'workflows', 'migrations', 'test', 'bench'].filter((name) =>
  existsSync(join(root, name)),
);

/** Two lists that run beside each other: the two longest stages are not in the same one. */
const lanes = [
  [
    ['lint', bin('eslint/bin/eslint.js'), '.', '--max-warnings', '0', '--cache', '--cache-location', '.cache/eslint'],
    [
      'format',
      bin('prettier/bin/prettier.cjs'),
      '--check',
      '.',
      '--log-level',
      'warn',
      '--cache',
      '--cache-location',
      '.cache/prettier',
    ],
  ],
  [
    ['types of the tests', bin('typescript/bin/tsc'), '-p', 'tsconfig.lint.json'],
    [
      'boundaries',
      bin('dependency-cruiser/bin/dependency-cruise.mjs'),
      '--config',
      '.dependency-cruiser.mjs',
      ...sources,
    ],
    [
      'unit tests',
      '--experimental-vm-modules',
      '--disable-warning=ExperimentalWarning',
      bin('jest/bin/jest.js'),
      '--selectProjects',
      'unit',
      '--silent',
      // By itself jest leaves one core alone, which on two cores is half of the machine; lint is done long before.
      `--maxWorkers=${availableParallelism()}`,
    ],
  ],
];

try {
  const node = checkNode();
  if (!node.ok) throw new StageError(`${node.detail}. ${node.remedy}`);
  await setUp();
  say('types: compiled');
  const results = (await Promise.all(lanes.map(runLane))).flat();
  const failed = results.filter(({ ok }) => !ok).map(({ name }) => name);
  say(failed.length === 0 ? 'all checks passed' : `failed: ${failed.join(', ')}`);
  process.exitCode = failed.length === 0 ? 0 : 1;
} catch (error) {
  process.stderr.write(`${error instanceof StageError ? error.message : (error?.stack ?? error)}\n`);
  process.exitCode = 1;
}

async function runLane(stages) {
  const results = [];
  for (const [name, ...args] of stages) results.push({ name, ok: await runStage(name, args) });
  return results;
}

async function runStage(name, args) {
  const startedAtMs = Date.now();
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  const code = await new Promise((resolve) => child.once('close', resolve));
  const seconds = ((Date.now() - startedAtMs) / 1000).toFixed(1);
  say(`${name}: ${code === 0 ? 'ok' : 'FAILED'} in ${seconds} s`);
  // All output of a stage stands together, whatever ran beside it.
  if (code !== 0) process.stdout.write(`---- ${name}\n${output.trimEnd()}\n----\n`);
  return code === 0;
}
