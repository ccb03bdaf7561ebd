import { applyResultSchema, InvalidDocumentError, type ApplyResult, type Finding } from '@fettle/contracts';
import type { ApiClient } from '../../client/api-client.js';
import type { Colours } from '../../output/colours.js';
import { renderFindings } from '../../output/findings.js';
import { oneLine } from '../../output/text.js';
import { ApiProblemError, toFinding } from '../../session/errors.js';
import { EXIT } from '../../session/exit-codes.js';
import type { ApiOptions, Session } from '../../session/session.js';
import { checkSources, countErrors } from './check-sources.js';
import { findingText } from './finding-text.js';
import { joinSources, readSources, type JoinedSource } from './read-sources.js';
import type { FileOptions } from './validate-documents.js';

type Item = ApplyResult['items'][number];

export async function applyFiles(
  session: Session,
  options: ApiOptions & FileOptions & { readonly dryRun?: boolean },
): Promise<number> {
  const dryRun = options.dryRun ?? false;
  const { items } = await send(session, options, dryRun);
  session.output.data(options.output, items, () =>
    items.map((item) => `${named(item)} ${resultText(session.output.colours, item)}\n`).join(''),
  );
  if (dryRun) session.output.note('Nothing was written (--dry-run).');
  return EXIT.ok;
}

/** What `apply` would change. Exit 0 whether something would or not: 1 means an error. */
export async function diffFiles(session: Session, options: ApiOptions & FileOptions): Promise<number> {
  const { items } = await send(session, options, true);
  const { colours } = session.output;
  session.output.data(options.output, items, () =>
    items
      .filter(({ result }) => result !== 'unchanged')
      .map((item) => `${colours.bold(named(item))} ${resultText(colours, item)}\n${diffText(item, colours)}`)
      .join(''),
  );
  if (items.every(({ result }) => result === 'unchanged')) session.output.note('No differences.');
  return EXIT.ok;
}

async function send(session: Session, options: ApiOptions & FileOptions, dryRun: boolean): Promise<ApplyResult> {
  const sources = await readSources(session.host, options.file);
  const { output } = session;
  output.findingRenderer = (finding, colours) => findingText(finding, sources, colours);
  const { findings } = checkSources(sources);
  const names = sources.map(({ file }) => file).join(', ');
  if (countErrors(findings) > 0) throw new InvalidDocumentError(names, findings);
  const client = session.connect(options);
  const source = joinSources(sources);
  const result = await sendSource(client, source, dryRun);
  const warnings = result.findings.map((finding) => replaced(toFinding(finding), source));
  output.stderr.write(renderFindings(warnings, output.errorColours, output.findingRenderer));
  return result;
}

async function sendSource(client: ApiClient, source: JoinedSource, dryRun: boolean): Promise<ApplyResult> {
  try {
    return await client.post('/api/v1/documents/apply', applyResultSchema, {
      body: { source: source.text, file: source.file, dryRun },
    });
  } catch (error) {
    if (!(error instanceof ApiProblemError) || error.findings.length === 0) throw error;
    const findings = error.findings.map((finding) => replaced(finding, source));
    throw new ApiProblemError({
      status: error.status,
      code: error.code,
      detail: error.message,
      findings: findings.map((finding) => ({ ...finding })),
      ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
      ...(error.requestId === null ? {} : { requestId: error.requestId }),
    });
  }
}

/** The finding with its place in the file it came from: the server saw one text. */
function replaced(finding: Finding, source: JoinedSource): Finding {
  if (finding.position === undefined) return finding;
  const { column, line } = finding.position;
  return { ...finding, position: { ...source.placeOf(line), column } };
}

function named(item: Item): string {
  const space = item.space === 'default' ? '' : `${item.space}/`;
  return oneLine(`${item.kind} ${space}${item.name}`);
}

function resultText(colours: Colours, { result, number }: Item): string {
  if (result === 'unchanged') return colours.dim(`unchanged (version ${number})`);
  return `${result === 'created' ? colours.green('created') : colours.yellow('changed')} (version ${number})`;
}

function diffText(item: Item, colours: Colours): string {
  return item.diff
    .map((line) => {
      const text = oneLine(line);
      if (line.startsWith('+')) return `  ${colours.green(text)}\n`;
      if (line.startsWith('-')) return `  ${colours.red(text)}\n`;
      return `  ${line.startsWith('~') ? colours.yellow(text) : text}\n`;
    })
    .join('');
}
