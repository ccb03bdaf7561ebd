import { backfillSchema, ledgerSchema, scheduleWhySchema, type Fire, type Ledger } from '@fettle/contracts';
import { paintState } from '../../output/colours.js';
import type { Output } from '../../output/output.js';
import type { Column } from '../../output/table.js';
import { plural } from '../../output/text.js';
import { EXIT } from '../../session/exit-codes.js';
import type { Session, SpaceOptions } from '../../session/session.js';
import { MAX_PAGE } from '../../client/api-client.js';
import { schedulePath } from './schedule-path.js';

/** Columns of rows of the ledger; `when` writes the instant. */
export function ledgerColumns(output: Output, when: (fire: Fire) => string): Column<Fire>[] {
  return [
    { title: 'WAS DUE', value: (fire) => `${when(fire)}${fire.source === 'nominal' ? '' : ` (${fire.source})`}` },
    { title: 'INSTANTS', value: (fire) => (fire.instants === 1 ? '' : String(fire.instants)) },
    { title: 'OUTCOME', value: (fire) => fire.outcome, paint: (cell) => paintState(output.colours, cell) },
    { title: 'RUN', value: (fire) => fire.runId },
    { title: 'WHY', value: (fire) => fire.reason },
  ];
}

export async function showLedger(
  session: Session,
  name: string,
  options: SpaceOptions & { readonly limit: number },
): Promise<number> {
  const client = session.connect(options);
  const path = `${schedulePath(name)}/ledger`;
  const items: Fire[] = [];
  let after: string | null = null;
  let first: Ledger | null = null;
  do {
    const limit = Math.min(MAX_PAGE, options.limit - items.length);
    const page: Ledger = await client.get(path, ledgerSchema, { space: options.space, limit, after });
    first ??= page;
    items.push(...page.items);
    after = page.next;
  } while (after !== null && items.length < options.limit);
  const { output } = session;
  const ledger = { ...first, items, next: after };
  output.data(options.output, ledger, () =>
    items.length === 0
      ? ''
      : output.table(
          items,
          ledgerColumns(output, (fire) => fire.nominalAt),
        ),
  );
  if (options.output === 'table') output.note(checkText(first));
  return first.check?.isSound === false ? EXIT.error : EXIT.ok;
}

function checkText({ check, unchecked, watermark, countedFrom, items }: Ledger): string {
  const until = `up to ${watermark}`;
  if (check === null)
    return `${items.length === 0 ? 'No fires' : 'Fires'} ${until}; not compared with the calendar: ${unchecked ?? ''}.`;
  const sum = Object.entries(check.outcomes)
    .map(([outcome, count]) => `${count} ${outcome}`)
    .join(', ');
  const since = `${plural(check.instants, 'instant')} from ${countedFrom ?? 'the beginning'} ${until}`;
  if (check.isSound) return `${since}: ${sum === '' ? 'none' : sum}. Each has its outcome.`;
  return `${since}, but the ledger has ${sum === '' ? 'none' : sum}: it does not add up.`;
}

export async function showWhy(
  session: Session,
  name: string,
  options: SpaceOptions & { readonly at?: string },
): Promise<number> {
  const path = `${schedulePath(name)}/why`;
  const query = { space: options.space, at: options.at ?? null };
  const why = await session.connect(options).get(path, scheduleWhySchema, query);
  session.output.data(options.output, why, () => `${why.answer}\n`);
  return EXIT.ok;
}

interface BackfillOptions extends SpaceOptions {
  readonly from: string;
  readonly to: string;
  readonly reason: string;
  readonly dryRun?: boolean;
}

export async function backfillSchedule(session: Session, name: string, options: BackfillOptions): Promise<number> {
  const { from, to, reason, dryRun = false, space } = options;
  const result = await session.connect(options).post(`${schedulePath(name)}/backfill`, backfillSchema, {
    query: { space },
    body: { from, to, reason, dryRun },
  });
  const { output } = session;
  if (result.notice !== undefined) output.warn(`${result.notice} Filling in is refused until it is resumed.`);
  output.data(options.output, result, () => result.queued.map((at) => `${at}\n`).join(''));
  if (options.output === 'table') {
    const had = result.alreadyRan === 0 ? '' : `; ${plural(result.alreadyRan, 'instant')} had a run, or waits for one`;
    output.note(`${plural(result.queued.length, 'instant')} ${dryRun ? 'would be' : 'are'} filled in${had}.`);
  }
  return EXIT.ok;
}
