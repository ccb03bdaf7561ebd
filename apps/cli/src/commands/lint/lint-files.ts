import { actionContracts } from '@fettle/activities/contracts';
import { InvalidDocumentError } from '@fettle/contracts';
import {
  closestName,
  formatFinding,
  isLintCode,
  lintDocuments,
  lintRules,
  type LintCode,
  type LintFinding,
  type LintLevel,
  type LintRule,
} from '@fettle/runbook/source';
import type { Colours } from '../../output/colours.js';
import type { OutputFormat } from '../../output/output.js';
import { neutralise, plural } from '../../output/text.js';
import { UsageError } from '../../session/errors.js';
import { EXIT } from '../../session/exit-codes.js';
import type { Session } from '../../session/session.js';
import { checkSources, countErrors } from '../document/check-sources.js';
import { findingText } from '../document/finding-text.js';
import { readSources, type SourceFile } from '../document/read-sources.js';

interface LintOptions {
  readonly file?: readonly string[];
  readonly strict?: boolean;
  readonly explain?: string | true;
  readonly output: OutputFormat;
}

/** Findings are what was asked for, so they go to stdout. */
export async function lintFiles(session: Session, options: LintOptions): Promise<number> {
  if (options.explain !== undefined) return explain(session, options.explain, options.output);
  if (options.file === undefined) throw new UsageError('give documents with -f FILE, or a code with --explain CODE');
  const { output } = session;
  const sources = await readSources(session.host, options.file);
  const { documents, findings: invalid } = checkSources(sources);
  if (countErrors(invalid) > 0) {
    output.findingRenderer = (finding, colours) => findingText(finding, sources, colours);
    throw new InvalidDocumentError(options.file.join(', '), invalid);
  }
  const findings = lintDocuments(documents, { actions: actionContracts });
  output.data(options.output, findings, () =>
    findings
      .filter(({ ignored }) => ignored === undefined)
      .map((finding) => lintText(finding, sources, output.colours))
      .join(''),
  );
  const counts = countLevels(findings);
  const ignored = findings.filter((finding) => finding.ignored !== undefined).length;
  const parts = [
    plural(counts.error, 'error'),
    plural(counts.warning, 'warning'),
    `${counts.info} info`,
    ...(ignored === 0 ? [] : [`${ignored} ignored with a reason`]),
  ];
  const first = findings.find((finding) => finding.ignored === undefined);
  const hint = first === undefined ? '' : `; fettle lint --explain ${first.code} tells more`;
  output.note(
    `${plural(documents.length, 'document')} in ${plural(sources.length, 'file')}: ${parts.join(', ')}${hint}`,
  );
  const isBad = counts.error > 0 || (options.strict === true && counts.warning > 0);
  return isBad ? EXIT.error : EXIT.ok;
}

function countLevels(findings: readonly LintFinding[]): Readonly<Record<LintLevel, number>> {
  const counts = { error: 0, warning: 0, info: 0 };
  for (const { level, ignored } of findings) if (ignored === undefined) counts[level] += 1;
  return counts;
}

/** As `validate` prints a finding: with the line it is about. */
function lintText(finding: LintFinding, sources: readonly SourceFile[], colours: Colours): string {
  const { code, level, message, path, position } = finding;
  const source = sources.find(({ file }) => file === position.file)?.text;
  const severity = level === 'error' ? 'error' : 'warning';
  const [head = '', ...rest] = neutralise(formatFinding({ code, message, path, position, severity }, source)).split(
    '\n',
  );
  const paint = { error: colours.red, warning: colours.yellow, info: colours.cyan }[level];
  const painted = head.replace(
    /^(\S*:\d+:\d+:) (error|warning):/,
    (_whole, place: string) => `${colours.bold(place)} ${paint(level)}:`,
  );
  return `${[painted, ...rest].join('\n')}\n`;
}

function explain({ output }: Session, code: string | true, format: OutputFormat): number {
  if (code === true) {
    const rows = Object.entries(lintRules).map(([name, { level, title }]) => ({ code: name, level, title }));
    output.data(format, rows, () =>
      output.table(rows, [
        { title: 'CODE', value: (row) => row.code },
        { title: 'LEVEL', value: (row) => row.level },
        { title: 'FOUND IS', value: (row) => row.title },
      ]),
    );
    return EXIT.ok;
  }
  if (!isLintCode(code)) {
    const close = closestName(code, Object.keys(lintRules));
    throw new UsageError(
      `"${code.slice(0, 80)}" is not a code of lint`,
      close === undefined ? 'See all of them with `fettle lint --explain`.' : `Did you mean ${close}?`,
    );
  }
  const rule: LintRule & { readonly code: LintCode } = { code, ...lintRules[code] };
  output.data(format, rule, () => ruleText(rule, output.colours));
  return EXIT.ok;
}

function ruleText(
  { code, level, title, why, bad, good }: LintRule & { readonly code: string },
  colours: Colours,
): string {
  const example = (text: string): string => text.replace(/^/gm, '    ');
  return `${colours.bold(code)} (${level}): ${title}\n\n${why}\n\nFound:\n${example(bad)}\n\nNot found:\n${example(good)}\n`;
}
