import { runDiffSchema, type RunDiff } from '@fettle/contracts';
import type { Output } from '../../output/output.js';
import { duration, neutralise, plural } from '../../output/text.js';
import { EXIT } from '../../session/exit-codes.js';
import { requireRunId } from '../../session/options.js';
import type { ApiOptions, Session } from '../../session/session.js';
import { countsText } from './run-text.js';

export async function diffRuns(session: Session, a: string, b: string, options: ApiOptions): Promise<number> {
  const ids = [requireRunId(a), requireRunId(b)] as const;
  const path = `/api/v1/runs/${ids[0]}/diff`;
  const diff = await session.connect(options).get(path, runDiffSchema, { with: ids[1] });
  const { output } = session;
  output.data(options.output, diff, () => headText(output, diff));
  if (options.output !== 'table') return EXIT.ok;
  writeLines(output, 'RUNBOOK', diff.runbook);
  writeLines(output, 'INPUTS', diff.inputs);
  writeTargets(output, diff);
  writeSteps(output, diff);
  return EXIT.ok;
}

const took = (ms: number | null): string | null => (ms === null ? null : duration(ms));

function headText(output: Output, { a, b }: RunDiff): string {
  const rows = [
    { name: 'run', a: a.id, b: b.id },
    { name: 'runbook', a: a.runbook, b: b.runbook },
    { name: 'version', a: a.version.slice(0, 19), b: b.version.slice(0, 19) },
    { name: 'state', a: a.state, b: b.state },
    { name: 'targets', a: countsText(a.counts), b: countsText(b.counts) },
    { name: 'target set', a: a.targetSetDigest.slice(0, 19), b: b.targetSetDigest.slice(0, 19) },
    { name: 'took', a: took(a.durationMs), b: took(b.durationMs) },
    { name: 'error', a: a.error?.code, b: b.error?.code },
  ];
  return output.table(rows, [
    { title: '', value: (row) => `${row.a === row.b ? ' ' : '~'} ${row.name}` },
    { title: 'A', value: (row) => row.a },
    { title: 'B', value: (row) => row.b },
  ]);
}

function writeLines(output: Output, title: string, lines: readonly string[]): void {
  if (lines.length > 0) output.stdout.write(`\n${title}\n${lines.map((line) => `  ${neutralise(line)}\n`).join('')}`);
}

function writeTargets(output: Output, { targets }: RunDiff): void {
  const { onlyA, onlyB, changed, sameCount, isCut } = targets;
  const rows = [
    ...changed.map(({ asset, a, b }) => ({ asset, a, b })),
    ...onlyA.map((asset) => ({ asset, a: 'a target', b: null })),
    ...onlyB.map((asset) => ({ asset, a: null, b: 'a target' })),
  ];
  if (rows.length === 0) return;
  const table = output.table(rows, [
    { title: 'TARGET', value: (row) => row.asset },
    { title: 'A', value: (row) => row.a },
    { title: 'B', value: (row) => row.b },
  ]);
  output.stdout.write(`\n${table}`);
  output.note(`${plural(sameCount, 'target')} ended alike${isCut ? '; more differ than are shown' : ''}.`);
}

function writeSteps(output: Output, { steps }: RunDiff): void {
  if (steps.length === 0) return;
  const side = (one: RunDiff['steps'][number]['a']): string | null => {
    if (one === null) return null;
    // What came through first, as in the line of the targets.
    const counts = Object.entries(one.states).sort(([x], [y]) => Number(y === 'succeeded') - Number(x === 'succeeded'));
    const states = counts.map(([state, count]) => `${count} ${state}`);
    return `${states.join(', ')}${one.meanMs === null ? '' : ` (${duration(one.meanMs)})`}`;
  };
  const table = output.table(steps, [
    { title: 'STEP', value: (step) => `${step.isSame ? ' ' : '~'} ${step.step}` },
    { title: 'A', value: (step) => side(step.a) },
    { title: 'B', value: (step) => side(step.b) },
  ]);
  output.stdout.write(`\n${table}`);
}
