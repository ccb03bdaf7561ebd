// The tests that have a long mode, and the page that keeps what they said when they last ran in it.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';
import { join, relative } from 'node:path';
import { countTests } from './jest.mjs';
import { root } from './stages.mjs';

export const LONG_RESULTS = 'test/LONG-RESULTS.md';

/** Files of tests that read FETTLE_LONG: found, not listed, so that none is forgotten. */
export function longTestFiles() {
  return ['test', 'libs', 'apps', 'activities', 'workflows']
    .flatMap((folder) => readdirSync(join(root, folder), { recursive: true }).map((path) => join(folder, path)))
    .filter((path) => path.endsWith('.test.ts') && !/(^|\/)(node_modules|dist)\//.test(path))
    .filter((path) => readFileSync(join(root, path), 'utf8').includes('FETTLE_LONG'))
    .sort();
}

/** `figures` are lines of a file's path, a tab and what its test said (test/support/figures.ts); `commit`: what was tested. */
export function writeLongResults(outcome, figures, tookMs, commit) {
  const files = [...(outcome.result?.testResults ?? [])].sort((a, b) => (a.name < b.name ? -1 : 1));
  const text = [
    '# Full counts',
    '',
    `Made by \`npm run test:long\` on ${new Date().toISOString().slice(0, 10)} from ${commit} in ${minutes(tookMs)}: ${machine()}. One file after the other; a file's time includes its servers' start.`,
    '',
    ...files.flatMap((file) => describeFile(file, figures)),
    countTests(outcome).line,
    '',
  ].join('\n');
  writeFileSync(join(root, LONG_RESULTS), text);
}

function describeFile(file, figures) {
  const said = figures.flatMap((line) => (line.startsWith(`${file.name}\t`) ? [line.slice(file.name.length + 1)] : []));
  return [
    `## ${relative(root, file.name)}, ${minutes(file.endTime - file.startTime)}`,
    '',
    ...(file.assertionResults.length === 0 ? ['- did not load'] : []),
    ...file.assertionResults.map(
      (test) => `- ${test.status} in ${((test.duration ?? 0) / 1000).toFixed(1)} s: ${test.fullName}`,
    ),
    '',
    ...(said.length > 0 ? ['```', ...said, '```', ''] : []),
  ];
}

function minutes(ms) {
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

function machine() {
  const load = loadavg().map((value) => value.toFixed(1));
  return `${availableParallelism()} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), ${Math.round(totalmem() / 2 ** 30)} GiB of memory, Node ${process.version}; load average at the end ${load.join(', ')}`;
}
