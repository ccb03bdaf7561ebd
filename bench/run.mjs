// `npm run bench`: builds what is stale, runs the benchmarks one after the other, writes bench/RESULTS.md. With names
// (`npm run bench -- fan-out`) it runs those and prints the page instead: RESULTS.md has all of one commit or none.
// FETTLE_BENCH_ROUNDS sets how many pairs each makes (default 3).
import { spawnSync } from 'node:child_process';
import { appendFileSync, readFileSync, rmSync, writeFileSync, mkdtempSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { revision } from '../scripts/revision.mjs';
import { root } from '../scripts/stages.mjs';

const given = process.argv.slice(2);
const names =
  given.length > 0
    ? given
    : ['fan-out', 'interpreter', 'rollout', 'durable-steps', 'import', 'next-run', 'schedule-burst'];
const goals = [
  '| benchmark | goal |',
  '| --- | --- |',
  "| fan-out, cold | 20 times the speed of Ansible's `command`, 4 times pdsh, 0.7 of the bare ssh2 pool (the better of 50 and 200 at once) |",
  '| fan-out, warm | a step in a run of many at 0.5 of the speed of the bare pool |',
  '| interpreter | 0.97 of the throughput of a plain workflow that writes the same rows |',
  '| rollout | at least 10 times the hosts/s of one activity a host, at most 0.1 history events a host, a host of the largest at most 1.1 of the cost of one of the smallest |',
  '| import | 0.7 of the speed of psql COPY plus upsert |',
  '| next-run | as fast as croner |',
  '| schedule-burst | 1,000 schedules due in one second at 0.7 of the rate of plain starts; spread at half that rate, lag p99 under 1 s |',
];

function run(argv, environment = {}) {
  const result = spawnSync(process.execPath, argv, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...environment },
  });
  return result.status === 0;
}

if (!run(['scripts/build.mjs'])) process.exit(1);
// Before the figures: what they were made from.
const commit = revision(root);
const directory = mkdtempSync(join(tmpdir(), 'fettle-bench-'));
const output = join(directory, 'tables.md');
writeFileSync(output, '');
const failed = [];
for (const name of names) {
  const jest = ['--experimental-vm-modules', 'node_modules/jest/bin/jest.js', '--selectProjects', 'bench', '--'];
  if (run([...jest, `bench/${name}.bench.ts`], { FETTLE_BENCH_OUT: output })) continue;
  failed.push(name);
  appendFileSync(output, `## ${name}\n\nDid not complete; it has no figures.\n\n`);
}
const load = loadavg().map((value) => value.toFixed(1));
const text = [
  '# Benchmarks',
  '',
  `Made by \`npm run bench${given.length > 0 ? ` -- ${names.join(' ')}` : ''}\` on ${new Date().toISOString().slice(0, 10)} from ${commit}: ${availableParallelism()} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), ${Math.round(totalmem() / 2 ** 30)} GiB of memory, Node ${process.version}; load average at the end ${load.join(', ')}.`,
  '',
  'Each round makes one sample of everything, interleaved. Figures are medians; a ratio is the median of the ratios of each round: above 1 means that the peer took longer than Fettle, so it is also the speed of Fettle in terms of the peer. CPU time is of the process that does the work, with its children.',
  '',
  ...goals,
  '',
  readFileSync(output, 'utf8').trimEnd(),
  '',
].join('\n');
rmSync(directory, { recursive: true });
const without = failed.length > 0 ? `; without figures: ${failed.join(', ')}` : '';
if (given.length > 0) {
  process.stdout.write(`${text}\nbench/RESULTS.md is as it was${without}\n`);
} else {
  writeFileSync(join(root, 'bench/RESULTS.md'), text);
  process.stdout.write(`bench/RESULTS.md is written${without}\n`);
}
if (failed.length > 0) process.exitCode = 1;
