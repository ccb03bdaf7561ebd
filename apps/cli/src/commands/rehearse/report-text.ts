import {
  shareOf,
  type Coverage,
  type CoverageShare,
  type RehearsedCase,
  type RehearsedEntry,
  type RehearseReport,
} from '@fettle/runbook/source';
import type { Colours } from '../../output/colours.js';
import { oneLine } from '../../output/text.js';
import { findingText } from '../document/finding-text.js';
import type { SourceFile } from '../document/read-sources.js';

export interface ReportOptions {
  readonly colours: Colours;
  /** Of all cases; without it, the last ones of those that are not as expected. */
  readonly withEntries: boolean;
  readonly sources: readonly SourceFile[];
}

/** Entries that are shown of a case that is not as expected. */
const MAX_LAST_ENTRIES = 15;

/** What a rehearsal came to, for a person. */
export function reportText({ cases, coverage }: RehearseReport, options: ReportOptions): string {
  const { colours } = options;
  let text = '';
  let heading = '';
  for (const one of cases) {
    const of = `${one.rehearsal} (${one.runbook})`;
    if (of !== heading) text += `${colours.bold(oneLine(of))}\n`;
    heading = of;
    text += caseText(one, options);
  }
  return `${text}${coverage.map((one) => coverageText(one, colours)).join('')}`;
}

function caseText({ name, failures, simulation }: RehearsedCase, options: ReportOptions): string {
  const { colours, sources, withEntries } = options;
  const mark = failures.length === 0 ? colours.green('ok') : colours.red('not ok');
  const end = simulation?.finish?.state ?? 'not rehearsed';
  const took = simulation === null ? '' : `, ${seconds(simulation.durationMs)} simulated`;
  const head = `  ${mark}  ${oneLine(name)} ${colours.dim(`(${end}${took})`)}\n`;
  const reasons = failures.map((finding) => indented(findingText(finding, sources, colours), 6)).join('');
  const entries = simulation?.entries ?? [];
  const shown = withEntries ? entries : failures.length === 0 ? [] : entries.slice(-MAX_LAST_ENTRIES);
  const left = entries.length - shown.length;
  const more =
    shown.length > 0 && left > 0 ? `      ${colours.dim(`${left} earlier entries; --entries shows all`)}\n` : '';
  return `${head}${reasons}${more}${shown.map((entry) => `      ${entryText(entry, colours)}\n`).join('')}`;
}

/** `3.5 s  step-ended drain on web1: failed (fault-injected)` */
export function entryText({ atMs, data, kind, run, runbook, step, target }: RehearsedEntry, colours: Colours): string {
  const { attempt, error, state } = data;
  const code = typeof error === 'object' && error !== null && 'code' in error ? (error.code as string) : '';
  const where = [step, target === null ? null : `on ${target}`].filter((part) => part !== null).join(' ');
  const again = typeof attempt === 'number' && attempt > 1 ? ` #${attempt}` : '';
  const ending = typeof state === 'string' ? `: ${state}${code === '' ? '' : ` (${code})`}` : '';
  const of = run === 1 ? '' : ` [${runbook}]`;
  return `${colours.dim(seconds(atMs).padStart(9))}  ${oneLine(`${kind} ${where}${again}${ending}${of}`)}`;
}

function coverageText({ compensation, points, rollbacks, runbook, steps }: Coverage, colours: Colours): string {
  const parts = [
    `steps and branches ${shareText(steps)}`,
    ...(compensation.total === 0 ? [] : [`compensation ${shareText(compensation)}`]),
    ...(rollbacks.total === 0 ? [] : [`of it rollbacks ${shareText(rollbacks)}`]),
  ];
  const missing = points.filter(({ isTaken }) => !isTaken);
  const lines = missing.map(({ branch, kind, step }) => {
    const what = branch === undefined ? `${kind} ${step}` : `${kind} ${branch} of ${step}`;
    return `  ${colours.yellow('never')} ${oneLine(what)}\n`;
  });
  return `${colours.bold(oneLine(`coverage of ${runbook}`))}: ${parts.join(', ')}\n${lines.join('')}`;
}

function shareText(share: CoverageShare): string {
  return `${share.taken} of ${share.total} (${Math.floor(shareOf(share) * 100)} %)`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function indented(text: string, by: number): string {
  return text.replace(/^(?=.)/gm, ' '.repeat(by));
}
