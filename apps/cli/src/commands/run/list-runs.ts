import { runSummarySchema, type RunState, type RunSummary } from '@fettle/contracts';
import { paintState } from '../../output/colours.js';
import type { Column } from '../../output/table.js';
import { age, duration } from '../../output/text.js';
import { EXIT } from '../../session/exit-codes.js';
import type { Session, SpaceOptions } from '../../session/session.js';
import { countsText } from './run-text.js';

interface ListOptions extends SpaceOptions {
  readonly state?: RunState;
  readonly runbook?: string;
  readonly limit: number;
  readonly all?: boolean;
  readonly subRuns?: boolean;
}

export async function listRuns(session: Session, options: ListOptions): Promise<number> {
  const client = session.connect(options);
  const { space, state, runbook } = options;
  const subRuns = options.subRuns === true ? 'true' : undefined;
  const limit = options.all === true ? undefined : options.limit;
  const { items, hasMore } = await client.list(
    '/api/v1/runs',
    runSummarySchema,
    { space, state, runbook, subRuns },
    limit,
  );
  session.output.list(options.output, items, columns(session), 'No runs.');
  if (hasMore) session.output.note(`There are older ones: --limit ${options.limit * 5} or --all shows more.`);
  return EXIT.ok;
}

function columns(session: Session): Column<RunSummary>[] {
  const now = session.host.now();
  const { colours } = session.output;
  return [
    { title: 'ID', value: (run) => run.id },
    { title: 'RUNBOOK', value: (run) => run.runbook },
    { title: 'STATE', value: (run) => run.state, paint: (cell, run) => paintState(colours, cell || run.state) },
    { title: 'STARTED', value: (run) => age(run.createdAt, now) },
    { title: 'TOOK', value: (run) => took(run), align: 'right' },
    { title: 'BY', value: (run) => (run.schedule !== null && run.fireAt !== null ? run.schedule : run.requestedBy) },
    { title: 'TARGETS', value: (run) => countsText(run.counts) },
  ];
}

function took(run: RunSummary): string {
  if (run.startedAt === null || run.endedAt === null) return '';
  return duration(Date.parse(run.endedAt) - Date.parse(run.startedAt));
}
