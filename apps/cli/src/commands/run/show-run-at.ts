import { runAtSchema, type RunAt } from '@fettle/contracts';
import { paintState } from '../../output/colours.js';
import { EXIT } from '../../session/exit-codes.js';
import type { ApiOptions, Session } from '../../session/session.js';
import { countsText, SHOWN_TARGETS } from './run-text.js';

/** `run show --at`: the state after an entry. */
export async function showRunAt(
  session: Session,
  id: string,
  at: number,
  options: ApiOptions & { readonly all?: boolean },
): Promise<number> {
  const run = await session.connect(options).get(`/api/v1/runs/${id}/state`, runAtSchema, { at });
  const { output } = session;
  output.data(options.output, run, () =>
    output.fields(
      [
        ['run', run.runId],
        ['entry', `${run.seq} of ${run.lastSeq}`],
        ['at', run.at],
        ['state', `${run.state}${run.cancelRequested && run.state !== 'cancelled' ? ' (cancel requested)' : ''}`],
        ['targets', countsText(run.counts)],
      ],
      (name, text) => (name === 'state' ? paintState(output.colours, text) : text),
    ),
  );
  if (options.output === 'table') writeTables(session, run, options.all === true);
  return EXIT.ok;
}

function writeTables({ output }: Session, { controlSteps, targets, isCut }: RunAt, isAll: boolean): void {
  const paint = (cell: string): string => paintState(output.colours, cell);
  if (controlSteps.length > 0) {
    const table = output.table(controlSteps, [
      { title: 'CONTROL STEP', value: (step) => step.step },
      { title: 'ATTEMPT', value: (step) => step.attempt, align: 'right' },
      { title: 'STATE', value: (step) => step.state, paint },
    ]);
    output.stdout.write(`\n${table}`);
  }
  if (targets.length === 0) return;
  const shown = isAll ? targets : targets.slice(0, SHOWN_TARGETS);
  const table = output.table(shown, [
    { title: 'TARGET', value: (target) => target.asset },
    { title: 'STATE', value: (target) => target.state, paint },
    { title: 'STEP', value: (target) => target.step },
    { title: 'ATTEMPT', value: (target) => target.attempt, align: 'right' },
  ]);
  output.stdout.write(`\n${table}`);
  if (shown.length < targets.length || isCut) output.note(`... and more targets${isCut ? '' : ': give --all'}`);
}
