import type { RunDetail, RunSummary, RunTarget, TargetState } from '@fettle/contracts';

const BAR_CELLS = 24;
const ENDED: readonly TargetState[] = [
  'succeeded',
  'failed',
  'skipped',
  'unreachable',
  'quarantined',
  'cancelled',
  'unknown',
];

type Counts = RunSummary['counts'];

/** How many targets have ended, in whatever state. */
export function endedCount(counts: Counts): number {
  return ENDED.reduce((sum, state) => sum + (counts[state] ?? 0), 0);
}

/** `[############------------] 12 of 24 hosts done: 10 succeeded, 2 failed`. */
export function progressBar(counts: Counts, targetCount: number): string {
  const done = endedCount(counts);
  const filled = targetCount === 0 ? BAR_CELLS : Math.floor((done / targetCount) * BAR_CELLS);
  const bar = '#'.repeat(filled) + '-'.repeat(BAR_CELLS - filled);
  const states = describeCounts(counts);
  return `[${bar}] ${done} of ${targetCount} hosts done${states === '' ? '' : `: ${states}`}`;
}

/** `21 succeeded, 1 failed`: states that ended, those without targets left out. */
export function describeCounts(counts: Counts): string {
  return ENDED.filter((state) => (counts[state] ?? 0) > 0)
    .map((state) => `${counts[state]} ${state}`)
    .join(', ');
}

/** A line a host: its state, what each step came to, and why it did not succeed. */
export function targetTable(targets: readonly RunTarget[]): string {
  const rows = targets.map((target) => [
    target.asset,
    target.state,
    target.steps
      .map((step) => `${step.step}: ${step.state}${step.exitCode === null ? '' : ` (${step.exitCode})`}`)
      .join(', '),
    reasonOf(target),
  ]);
  return table(['HOST', 'STATE', 'STEPS', 'WHY'], rows);
}

export function runTable(runs: readonly RunSummary[]): string {
  const rows = runs.map((run) => [run.createdAt, run.runbook, run.state, describeCounts(run.counts), run.id]);
  return table(['CREATED', 'RUNBOOK', 'STATE', 'TARGETS', 'ID'], rows);
}

/** Whether the run ended in the state, and with just the counts, that were foretold. */
export function endedAsExpected(
  run: RunDetail,
  state: string,
  expected: Readonly<Partial<Record<TargetState, number>>>,
): boolean {
  return run.state === state && ENDED.every((name) => (run.counts[name] ?? 0) === (expected[name] ?? 0));
}

function reasonOf(target: RunTarget): string {
  const failure = target.error ?? target.steps.findLast((step) => step.error !== null)?.error;
  if (failure == null) return '';
  const line = target.steps.findLast(({ lastStderr }) => lastStderr !== undefined)?.lastStderr ?? '';
  const quote = failure.message.includes(line) ? '' : `  stderr: ${plain(line)}`;
  return `${plain(`${failure.code}: ${failure.message}`)}${quote}`;
}

/** What a host said may hold anything; a table cell is one plain line. */
function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]+/gu, ' ').slice(0, 90);
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
