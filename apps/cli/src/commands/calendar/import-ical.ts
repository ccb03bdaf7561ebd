import { importIcal, type ImportedEvent } from '@fettle/calendar';
import { API_VERSION } from '@fettle/contracts';
import { stringify } from 'yaml';
import type { OutputFormat } from '../../output/output.js';
import { neutralise } from '../../output/text.js';
import { UsageError } from '../../session/errors.js';
import { EXIT } from '../../session/exit-codes.js';
import { readText } from '../../session/read-input.js';
import type { Session } from '../../session/session.js';

interface ImportOptions {
  readonly output: OutputFormat;
  readonly name: string;
  readonly as: 'windows' | 'freezes' | 'holidays';
  readonly zone: string;
  readonly zoneOf?: readonly string[];
  readonly cutoff?: string;
  readonly assets?: string;
  readonly space: string;
}

/**
 * Prints the document of an iCalendar file, and tells on stderr what became of each of its events. Nothing is applied. Exit code 1 where
 * one could not be imported.
 */
export async function importIcalFile(session: Session, file: string, options: ImportOptions): Promise<number> {
  const { as, name, space, zone, cutoff, assets } = options;
  if (cutoff !== undefined && as !== 'windows') throw new UsageError('--cutoff is for --as windows');
  const zones = Object.fromEntries((options.zoneOf ?? []).map(zonePair));
  const { events, ...spans } = importIcal(await readText(session.host, file), { as, timeZone: zone, zones, cutoff });
  const document = {
    apiVersion: API_VERSION,
    kind: 'Calendar',
    metadata: { name, space },
    spec: { timeZone: zone, ...(assets === undefined ? {} : { assets }), [as]: spans[as] },
  };
  const { output } = session;
  if (options.output === 'json') output.data('json', { document, events }, () => '');
  else {
    output.stdout.write(stringify(document, { lineWidth: 0 }));
    for (const line of reportOf(events)) output.note(line);
  }
  return events.some(({ became }) => became === 'not imported') ? EXIT.error : EXIT.ok;
}

function zonePair(text: string): readonly [string, string] {
  const at = text.lastIndexOf('=');
  if (at <= 0)
    throw new UsageError(`--zone-of ${text}: write NAME=ZONE, such as 'W. Europe Standard Time=Europe/Berlin'`);
  return [text.slice(0, at), text.slice(at + 1)];
}

/** One line for each of the file's events, and the sums. */
function reportOf(events: readonly ImportedEvent[]): string[] {
  const counts = new Map<string, number>();
  for (const { became } of events) counts.set(became, (counts.get(became) ?? 0) + 1);
  return [
    ...events.flatMap(({ line, kind, name, became, notes }) => [
      `line ${line}: ${became}: ${name === '' ? kind : neutralise(name)}`,
      ...notes.map((note) => `  ${neutralise(note)}`),
    ]),
    `${events.length} events: ${[...counts].map(([became, count]) => `${count} ${became}`).join(', ') || 'none'}`,
  ];
}
