import type { RunDetail } from '@fettle/contracts';
import { paintState } from '../../output/colours.js';
import type { Output } from '../../output/output.js';
import { EXIT } from '../../session/exit-codes.js';
import { requireRunId } from '../../session/options.js';
import type { ApiOptions, Session } from '../../session/session.js';
import { approvalFields, endedApprovalFields } from '../approval/approval-text.js';
import { readWholeRun } from './read-run.js';
import { showRunAt } from './show-run-at.js';
import { countsText, MAX_DETAIL_LINES, resolutionText, runFields, writeTargets } from './run-text.js';

export async function showRun(
  session: Session,
  idText: string,
  options: ApiOptions & { readonly all?: boolean; readonly at?: number },
): Promise<number> {
  const id = requireRunId(idText);
  if (options.at !== undefined) return showRunAt(session, id, options.at, options);
  const { output } = session;
  const run = await readWholeRun(session.connect(options), id);
  output.data(options.output, shown(run), () => runFields(output, run));
  if (options.output !== 'table') return EXIT.ok;
  for (const approval of run.endedApprovals ?? [])
    output.stdout.write(`\n${output.fields(endedApprovalFields(approval, run.id))}`);
  for (const approval of run.approvals ?? []) output.stdout.write(`\n${output.fields(approvalFields(approval))}`);
  writeControlSteps(output, run);
  writeSubRuns(output, run);
  if (run.targets.length > 0) output.stdout.write('\n');
  writeTargets(output, run, options.all === true ? run.targets.length : undefined);
  return EXIT.ok;
}

/** For programs: every target is there, so the cursor of the API's first page says nothing. */
export function shown(run: RunDetail): Omit<RunDetail, 'targetsNext'> {
  const { targetsNext: _all, ...rest } = run;
  return rest;
}

/** The runs that its steps called, as a tree. */
function writeSubRuns(output: Output, { subRuns = [] }: RunDetail): void {
  if (subRuns.length === 0) return;
  const table = output.table(subRuns, [
    { title: 'SUB-RUN', value: (run) => `${'  '.repeat(run.depth - 1)}${run.step}` },
    { title: 'RUNBOOK', value: (run) => run.runbook },
    { title: 'STATE', value: (run) => run.state, paint: (cell) => paintState(output.colours, cell) },
    { title: 'ID', value: (run) => run.id },
    { title: 'TARGETS', value: (run) => countsText(run.counts) },
  ]);
  output.stdout.write(`\n${table}`);
}

function writeControlSteps(output: Output, run: RunDetail): void {
  if (run.controlSteps.length === 0) return;
  const table = output.table(run.controlSteps, [
    { title: 'CONTROL STEP', value: (step) => step.step },
    { title: 'ATTEMPT', value: (step) => step.attempt, align: 'right' },
    { title: 'STATE', value: (step) => step.state, paint: (cell) => paintState(output.colours, cell) },
    {
      title: 'DETAIL',
      value: (step) => [step.error?.message ?? '', resolutionText(step)].filter((part) => part !== '').join(' '),
      maxLines: MAX_DETAIL_LINES,
    },
  ]);
  output.stdout.write(`\n${table}`);
}
