import { nextInstants, parseCron } from '@fettle/calendar';
import { InvalidDocumentError, scheduleSchema } from '@fettle/contracts';
import { UsageError } from '../../session/errors.js';
import { EXIT } from '../../session/exit-codes.js';
import type { Session, SpaceOptions } from '../../session/session.js';
import { checkSources, countErrors } from '../document/check-sources.js';
import { findingText } from '../document/finding-text.js';
import { readSources } from '../document/read-sources.js';
import { fireColumns, inZone, readerZone, type Fire } from './fire-text.js';
import { MAX_PREVIEW, schedulePath } from './schedule-path.js';

interface PreviewOptions extends SpaceOptions {
  readonly file?: string;
  readonly cron?: string;
  readonly timeZone: string;
  readonly count: number;
}

interface Timing {
  readonly name: string | null;
  readonly cron: string;
  readonly timeZone: string;
}

/** The same calendar code that fires the schedules computes this, on this machine. */
export async function previewSchedule(
  session: Session,
  name: string | undefined,
  options: PreviewOptions,
): Promise<number> {
  const timings = await timingsOf(session, name, options);
  const now = session.host.now();
  const zone = readerZone();
  const previews = timings.map((timing) => ({
    ...timing,
    readerZone: zone,
    fires: firesOf(timing, now, zone, options),
  }));
  const { output } = session;
  output.data(options.output, previews, () =>
    previews
      .map((preview) => {
        const title = `${preview.name === null ? '' : `${preview.name}: `}${preview.cron} (${preview.timeZone})\n`;
        return output.colours.bold(title) + output.table(preview.fires, fireColumns(preview.timeZone, zone, now));
      })
      .join('\n'),
  );
  return EXIT.ok;
}

function firesOf(timing: Timing, now: Date, zone: string, options: PreviewOptions): (Fire & { reader: string })[] {
  const count = Math.min(options.count, MAX_PREVIEW);
  return nextInstants({ cron: parseCron(timing.cron), timeZone: timing.timeZone, after: now, count }).map(
    (instant) => ({
      ...instant,
      reader: inZone(instant.at, zone),
    }),
  );
}

async function timingsOf(session: Session, name: string | undefined, options: PreviewOptions): Promise<Timing[]> {
  const given = [name, options.file, options.cron].filter((one) => one !== undefined).length;
  if (given !== 1) throw new UsageError('give one of: the name of a schedule, -f FILE, --cron EXPRESSION');
  if (options.cron !== undefined) return [{ name: null, cron: options.cron, timeZone: options.timeZone }];
  if (options.file !== undefined) return timingsOfFile(session, options.file);
  const schedule = await session
    .connect(options)
    .get(schedulePath(name ?? ''), scheduleSchema, { space: options.space });
  return [{ name: schedule.name, cron: schedule.cron, timeZone: schedule.timeZone }];
}

async function timingsOfFile(session: Session, file: string): Promise<Timing[]> {
  const sources = await readSources(session.host, [file]);
  const { documents, findings } = checkSources(sources);
  session.output.findingRenderer = (finding, colours) => findingText(finding, sources, colours);
  if (countErrors(findings) > 0) throw new InvalidDocumentError(file, findings);
  const timings = documents.flatMap(({ document }) =>
    document?.kind === 'Schedule'
      ? [{ name: document.metadata.name, cron: document.spec.cron, timeZone: document.spec.timeZone }]
      : [],
  );
  if (timings.length === 0) throw new UsageError(`${file} holds no Schedule`);
  return timings;
}
