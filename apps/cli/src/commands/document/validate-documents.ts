import type { Finding } from '@fettle/contracts';
import { formatFinding } from '@fettle/runbook/source';
import type { OutputFormat } from '../../output/output.js';
import { neutralise, plural } from '../../output/text.js';
import { EXIT } from '../../session/exit-codes.js';
import type { Session } from '../../session/session.js';
import { checkSources, countErrors } from './check-sources.js';
import { readSources, type SourceFile } from './read-sources.js';

export interface FileOptions {
  readonly file: readonly string[];
}

/** Findings are what was asked for, so they go to stdout. */
export async function validateFiles(
  session: Session,
  options: FileOptions & { readonly output: OutputFormat },
): Promise<number> {
  const sources = await readSources(session.host, options.file);
  const { documents, findings } = checkSources(sources);
  const { output } = session;
  output.data(options.output, findings, () =>
    findings.map((finding) => shownFinding(session, finding, sources)).join(''),
  );
  const errors = countErrors(findings);
  const found = findings.length === 0 ? 'no findings' : plural(findings.length, 'finding');
  output.note(
    errors > 0
      ? `${plural(errors, 'error')} in ${plural(sources.length, 'file')}`
      : `${plural(documents.length, 'document')} in ${plural(sources.length, 'file')}: valid, ${found}`,
  );
  return errors > 0 ? EXIT.error : EXIT.ok;
}

function shownFinding(session: Session, finding: Finding, sources: readonly SourceFile[]): string {
  const source = sources.find(({ file }) => file === finding.position?.file)?.text;
  const { colours } = session.output;
  const [head = '', ...rest] = neutralise(formatFinding(finding, source)).split('\n');
  const painted = head.replace(
    /^(\S*:\d+:\d+:)? ?(error|warning):/,
    (_whole, place: string | undefined, word: string) =>
      `${place === undefined ? '' : `${colours.bold(place)} `}${word === 'error' ? colours.red(word) : colours.yellow(word)}:`,
  );
  return `${[painted, ...rest].join('\n')}\n`;
}
