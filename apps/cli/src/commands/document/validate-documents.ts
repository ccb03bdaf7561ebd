import type { OutputFormat } from '../../output/output.js';
import { plural } from '../../output/text.js';
import { EXIT } from '../../session/exit-codes.js';
import type { Session } from '../../session/session.js';
import { checkSources, countErrors } from './check-sources.js';
import { findingText } from './finding-text.js';
import { readSources } from './read-sources.js';

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
    findings.map((finding) => findingText(finding, sources, output.colours)).join(''),
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
