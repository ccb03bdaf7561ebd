import { type RunDetail, type RunTarget, type TargetCounts, type TargetState } from '@fettle/contracts';
import { paintState } from '../../output/colours.js';
import type { Output } from '../../output/output.js';
import type { Column } from '../../output/table.js';
import { duration } from '../../output/text.js';
import { calendarFields, closedText } from '../calendar/calendar-text.js';
import { assetWaitText, capacityFields } from './capacity-note.js';
import { lastStderrText } from './last-stderr.js';

/** What a person must look at first. */
const severity: readonly TargetState[] = [
  'unknown',
  'failed',
  'unreachable',
  'quarantined',
  'cancelled',
  'running',
  'pending',
  'skipped',
  'succeeded',
];

/** `21 succeeded, 1 failed`; states without targets are left out, and a run without any says so. */
export function countsText(
  counts: Partial<TargetCounts>,
  paint: (text: string, state: string) => string = plain,
): string {
  const shown = [...severity].reverse().filter((state) => (counts[state] ?? 0) > 0);
  if (shown.length === 0) return 'no targets';
  return shown.map((state) => paint(`${counts[state]} ${state}`, state)).join(', ');
}

function plain(text: string): string {
  return text;
}

export function paintCounts(output: Output, counts: Partial<TargetCounts>, where: 'stdout' | 'stderr'): string {
  const colours = where === 'stdout' ? output.colours : output.errorColours;
  return countsText(counts, (text, state) => paintState(colours, state).replace(state, text));
}

/** Targets that ended badly first, then by name. */
export function bySeverity(targets: readonly RunTarget[]): RunTarget[] {
  const rank = new Map(severity.map((state, index) => [state, index]));
  return [...targets].sort(
    (a, b) =>
      (rank.get(a.state) ?? 0) - (rank.get(b.state) ?? 0) || (a.asset < b.asset ? -1 : a.asset > b.asset ? 1 : 0),
  );
}

/** On a terminal, what a target's error and its host say goes over so many lines. */
export const MAX_DETAIL_LINES = 5;

export function targetColumns(output: Output, hasWaves = false): Column<RunTarget>[] {
  return [
    { title: 'TARGET', value: (target) => target.asset },
    ...(hasWaves ? [{ title: 'WAVE', value: (target: RunTarget) => target.wave, align: 'right' as const }] : []),
    { title: 'STATE', value: (target) => target.state, paint: (cell) => paintState(output.colours, cell) },
    { title: 'STEP', value: (target) => lastStepText(target) },
    { title: 'EXIT', value: (target) => target.steps.at(-1)?.exitCode, align: 'right' },
    { title: 'TOOK', value: (target) => tookOf(target), align: 'right' },
    { title: 'DETAIL', value: (target) => detailOf(target), maxLines: MAX_DETAIL_LINES },
  ];
}

/** The last step, and which attempt it was where it was not the first. */
function lastStepText({ steps }: RunTarget): string {
  const last = steps.at(-1);
  if (last === undefined) return '';
  return last.attempt > 1 ? `${last.step} (attempt ${last.attempt})` : last.step;
}

/** Of what was done in this run: a resumed one knows steps that were done long before. */
function tookOf({ steps }: RunTarget): string {
  const own = steps.filter(({ carriedFrom }) => carriedFrom === undefined);
  const first = own[0]?.startedAt;
  const last = own.at(-1)?.endedAt;
  return first === undefined || last === undefined || last === null
    ? ''
    : duration(Date.parse(last) - Date.parse(first));
}

function detailOf(target: RunTarget): string {
  if (target.waits !== undefined) return assetWaitText(target.waits);
  if (target.closed !== undefined) return `waits for ${closedText(target.closed)}`;
  const undone = { undone: ' (rolled back)', incomplete: ' (not rolled back whole: see its steps)' } as const;
  const rollback = target.rollback === undefined ? '' : undone[target.rollback];
  const error = target.error ?? (target.state === 'succeeded' ? null : (target.steps.at(-1)?.error ?? null));
  const settled = resolutionText(target.steps.findLast((step) => step.resolution !== undefined));
  const line = error === null ? '' : lastStderrText(target, error.message);
  const said = error === null ? '' : `${error.message}${line === '' ? '' : `  ${line}`}`;
  const isBefore = target.steps.length > 0 && target.steps.every(({ carriedFrom }) => carriedFrom !== undefined);
  const before = isBefore ? '(in the run before)' : '';
  const left = target.finallyLeft === undefined ? '' : `(finally not carried out: ${target.finallyLeft.join(', ')})`;
  return [said, error?.remedy ?? '', left, rollback.trim(), settled, before].filter((part) => part !== '').join(' ');
}

/** What a person found of a step that was unknown. */
export function resolutionText(step: RunTarget['steps'][number] | undefined): string {
  if (step?.resolution === undefined) return '';
  const { as, by, reason } = step.resolution;
  return `("${step.step}" settled as ${as} by ${by}: ${reason})`;
}

function listOrNull(paths: readonly string[] | undefined): string | null {
  return paths === undefined || paths.length === 0 ? null : paths.join(', ');
}

function targetsText({ counts, selector, targetCount }: RunDetail): string {
  if (targetCount > 0) return countsText(counts);
  return selector === null ? 'none: its steps run on no asset' : 'none: no asset matched the selector';
}

/** What `run show` and the end of a followed run say about the run itself. */
export function runFields(output: Output, run: RunDetail): string {
  const took =
    run.startedAt !== null && run.endedAt !== null ? Date.parse(run.endedAt) - Date.parse(run.startedAt) : null;
  return output.fields(
    [
      ['run', run.id],
      ['runbook', `${run.runbook} (${run.version.slice(0, 19)})`],
      ['state', run.state],
      ['targets', targetsText(run)],
      ...wavesFields(run),
      ...capacityFields(run),
      ...calendarFields(run.calendar, run.targets.find(({ closed }) => closed !== undefined)?.closed),
      [
        'undetermined',
        run.undeterminedCount === 0 ? null : `${run.undeterminedCount} assets: the selector was neither true nor false`,
      ],
      ['selector', run.selector?.replace(/\n/g, '')],
      ['inputs', Object.keys(run.inputs).length === 0 ? null : JSON.stringify(run.inputs)],
      ['by', run.requestedBy],
      ['schedule', run.schedule === null ? null : `${run.schedule}${run.fireAt === null ? '' : `, due ${run.fireAt}`}`],
      ['reason', run.reason],
      ['created', run.createdAt],
      ['took', took === null ? null : duration(took)],
      ['called by', run.calledBy === undefined ? null : `step ${run.calledBy.step} of run ${run.calledBy.runId}`],
      ['continues', run.continues === undefined ? null : `run ${run.continues.runId} (${run.continues.how})`],
      ...(run.continuedBy ?? []).map(({ runId, how, state }): [string, string] => [
        how === 'resume' ? 'taken up by' : 'made again by',
        `run ${runId} (${state})`,
      ]),
      ['summary', run.summary],
      ['rolled back', listOrNull(run.rollback?.undone)],
      ['not undone', listOrNull(run.rollback?.failed)],
      ['outputs', run.outputs === null ? null : JSON.stringify(run.outputs)],
      ['error', run.error === null ? null : `${run.error.message} (${run.error.code})`],
    ],
    (name, text) => (name === 'state' ? paintState(output.colours, text) : text),
  );
}

/** One line a wave: `wave 2 of 4   3 succeeded, 1 failed (now)`. */
function wavesFields({ waves, endedAt }: RunDetail): [string, string][] {
  return (waves?.items ?? []).map(({ number, counts }) => {
    const isNow = endedAt === null && number === waves?.current;
    return [`wave ${number} of ${waves?.items.length ?? 0}`, `${countsText(counts)}${isNow ? ' (now)' : ''}`];
  });
}

/** Lines of the table of targets that are shown without `--all`. */
export const SHOWN_TARGETS = 40;

/** The table of targets, the bad ones first; says on stderr how many more there are. */
export function writeTargets(output: Output, run: RunDetail, maxRows = SHOWN_TARGETS): void {
  if (run.targets.length === 0) return;
  const sorted = bySeverity(run.targets);
  output.stdout.write(output.table(sorted.slice(0, maxRows), targetColumns(output, run.waves !== undefined)));
  const rest = sorted.slice(maxRows);
  if (rest.length === 0) return;
  const counts: Partial<Record<TargetState, number>> = {};
  for (const { state } of rest) counts[state] = (counts[state] ?? 0) + 1;
  output.note(`... and ${rest.length} more targets (${countsText(counts)}): fettle run show ${run.id} --all`);
}
