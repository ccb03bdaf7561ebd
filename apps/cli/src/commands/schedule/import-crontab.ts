import { assertTimeZone } from '@fettle/calendar';
import { neutralise } from '../../output/text.js';
import { UsageError } from '../../session/errors.js';
import { EXIT } from '../../session/exit-codes.js';
import { readText } from '../../session/read-input.js';
import type { Session } from '../../session/session.js';
import type { OutputFormat } from '../../output/output.js';
import { stringify } from 'yaml';
import { documentsOfCrontab, type ImportedCrontab, type ImportedLine } from './crontab-documents.js';
import { parseCrontab } from './crontab.js';

interface ImportOptions {
  readonly output: OutputFormat;
  readonly system?: boolean;
  readonly zone?: string;
  readonly on: string;
  readonly user?: string;
  readonly prefix: string;
  readonly space: string;
}

/**
 * Prints documents that do what a crontab does, and tells on stderr what became of each of its lines. Nothing is applied. Exit code 1
 * where a line could not be imported.
 */
export async function importCrontab(session: Session, file: string, options: ImportOptions): Promise<number> {
  if (options.system === true && options.user !== undefined)
    throw new UsageError('--user is for the user form; a system crontab names the user in each line');
  const lines = parseCrontab(await readText(session.host, file), options.system === true);
  const hasZone = lines.some((line) => line.kind === 'environment' && line.name === 'CRON_TZ');
  if (options.zone === undefined && !hasZone)
    throw new UsageError('give --zone: cron reads the clock of its host, and the file does not say which that is');
  const zone = options.zone ?? 'UTC';
  assertTimeZone(zone);
  const { on, space, prefix, user } = options;
  const imported = documentsOfCrontab(lines, { zone, on, space, prefix, user });
  const { output } = session;
  if (options.output === 'json') output.data('json', imported, () => '');
  else output.stdout.write(sourceOf(imported));
  if (options.output !== 'json') for (const line of reportOf(imported.lines)) output.note(line);
  return imported.lines.some(({ became }) => became === 'not imported') ? EXIT.error : EXIT.ok;
}

function sourceOf({ documents }: ImportedCrontab): string {
  return documents.map((document) => `---\n${stringify(document, { lineWidth: 0 })}`).join('');
}

/** One line for each of the file's, and the sums. */
function reportOf(lines: readonly ImportedLine[]): string[] {
  const counts = new Map<string, number>();
  for (const { became } of lines) counts.set(became, (counts.get(became) ?? 0) + 1);
  return [
    ...lines.flatMap(({ line, text, became, name, notes }) => [
      `line ${line}: ${became}${name === null ? '' : ` ${name}`}${became === 'blank' || became === 'comment' ? '' : `: ${neutralise(text.trim()).slice(0, 200)}`}`,
      ...notes.map((note) => `  ${note}`),
    ]),
    `${lines.length} lines: ${[...counts].map(([became, count]) => `${count} ${became}`).join(', ')}`,
  ];
}
