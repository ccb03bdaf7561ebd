import {
  instants,
  previewInstants,
  scheduleRecurrence,
  timingText,
  type PreviewRow,
  type Recurrence,
  type ScheduleTiming,
} from '@fettle/calendar';
import {
  durationSchema,
  InvalidDocumentError,
  scheduleDocumentSchema,
  documentDetailSchema,
  type ScheduleDocument,
} from '@fettle/contracts';
import { UsageError } from '../../session/errors.js';
import { EXIT } from '../../session/exit-codes.js';
import type { Session, SpaceOptions } from '../../session/session.js';
import { checkSources, countErrors } from '../document/check-sources.js';
import { findingText } from '../document/finding-text.js';
import { readSources } from '../document/read-sources.js';
import { fireColumns, readerZone } from './fire-text.js';

export interface PreviewOptions extends SpaceOptions {
  readonly file?: string;
  readonly cron?: string;
  readonly every?: string;
  readonly phase?: string;
  readonly rrule?: string;
  readonly zone?: string;
  readonly from?: string;
  readonly count: number;
  readonly gap?: 'shift' | 'skip';
  readonly overlap?: 'first' | 'last' | 'both';
  readonly showSkipped?: boolean;
}

interface Previewed {
  readonly name: string | null;
  readonly timing: ScheduleTiming;
  readonly recurrence: Recurrence;
}

/**
 * The same calendar code that fires the schedules computes this, on this machine. One schedule is printed as the list of its fires; of
 * several, each fire says whose it is.
 */
export async function previewSchedule(
  session: Session,
  name: string | undefined,
  options: PreviewOptions,
): Promise<number> {
  const schedules = await schedulesOf(session, name, options);
  const now = session.host.now();
  const previews = schedules.map((schedule) => ({ ...schedule, fires: firesOf(schedule.recurrence, now, options) }));
  const { output } = session;
  const [only] = previews;
  const rows =
    previews.length === 1
      ? (only?.fires ?? [])
      : previews.flatMap(({ name: schedule, fires }) => fires.map((fire) => ({ schedule, ...fire })));
  output.data(options.output, rows, () =>
    previews
      .map(({ name: title, timing, fires }) => {
        const head = `${title === null ? '' : `${title}: `}${timingText(timing)} (${timing.timeZone})\n`;
        const table =
          fires.length === 0
            ? 'It is never due.\n'
            : output.table(fires, fireColumns(timing.timeZone, readerZone(), now));
        return output.colours.bold(head) + table;
      })
      .join('\n'),
  );
  return EXIT.ok;
}

function firesOf(recurrence: Recurrence, now: Date, options: PreviewOptions): PreviewRow[] {
  const query = { ...recurrence, from: options.from ?? now, count: options.count };
  return options.showSkipped === true ? previewInstants(query) : instants(query);
}

async function schedulesOf(
  session: Session,
  name: string | undefined,
  options: PreviewOptions,
): Promise<readonly Previewed[]> {
  const { file, cron, every, rrule } = options;
  const given = [name, file, cron, every, rrule].filter((one) => one !== undefined).length;
  if (given !== 1)
    throw new UsageError(
      'give one of: the name of a schedule, -f FILE, --cron EXPRESSION, --every DURATION, --rrule RULE',
    );
  if (options.phase !== undefined && every === undefined) throw new UsageError('--phase goes with --every');
  if (file !== undefined)
    return (await schedulesOfFile(session, file)).map((document) => ofDocument(document, options));
  if (name !== undefined) {
    const path = `/api/v1/documents/Schedule/${encodeURIComponent(name)}`;
    const stored = await session.connect(options).get(path, documentDetailSchema, { space: options.space });
    return [ofDocument(scheduleDocumentSchema.parse(stored.parsed), options)];
  }
  return [withPolicies(null, { ...timingOf(options), timeZone: options.zone ?? 'UTC' }, '', options)];
}

function timingOf({ cron, every, phase, rrule }: PreviewOptions): Omit<ScheduleTiming, 'timeZone'> {
  if (cron !== undefined) return { cron };
  if (rrule !== undefined) return { rrule };
  const duration = (text: string | undefined, option: string) => {
    const parsed = durationSchema.safeParse(/^\d+$/.test(text ?? '') ? Number(text) : text);
    if (parsed.success) return parsed.data;
    throw new UsageError(`${option} must be a number of seconds or text such as "30s", "5m", "2h", "1d"`);
  };
  return { every: duration(every, '--every'), ...(phase === undefined ? {} : { phase: duration(phase, '--phase') }) };
}

function ofDocument({ metadata, spec }: ScheduleDocument, options: PreviewOptions): Previewed {
  const timing = options.zone === undefined ? spec : { ...spec, timeZone: options.zone };
  return withPolicies(metadata.name, timing, `${metadata.space}/${metadata.name}`, options);
}

/** What the command line says of policies stands instead of what the document says. */
function withPolicies(
  name: string | null,
  timing: ScheduleTiming,
  seed: string,
  { gap, overlap }: PreviewOptions,
): Previewed {
  const dst = { gap: gap ?? timing.dst?.gap ?? 'shift', overlap: overlap ?? timing.dst?.overlap ?? 'first' };
  return { name, timing, recurrence: scheduleRecurrence({ ...timing, dst }, seed) };
}

async function schedulesOfFile(session: Session, file: string): Promise<ScheduleDocument[]> {
  const sources = await readSources(session.host, [file]);
  const { documents, findings } = checkSources(sources);
  session.output.findingRenderer = (finding, colours) => findingText(finding, sources, colours);
  if (countErrors(findings) > 0) throw new InvalidDocumentError(file, findings);
  const schedules = documents.flatMap(({ document }) => (document?.kind === 'Schedule' ? [document] : []));
  if (schedules.length === 0) throw new UsageError(`${file} holds no Schedule`);
  return schedules;
}
