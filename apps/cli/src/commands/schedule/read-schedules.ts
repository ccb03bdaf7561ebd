import { scheduleSchema, type Schedule } from '@fettle/contracts';
import { paintState } from '../../output/colours.js';
import { EXIT } from '../../session/exit-codes.js';
import type { Session, SpaceOptions } from '../../session/session.js';
import { fireColumns, inZone, readerZone, untilText } from './fire-text.js';
import { ledgerColumns } from './ledger.js';
import { schedulePath } from './schedule-path.js';

export async function listSchedules(session: Session, options: SpaceOptions): Promise<number> {
  const { items } = await session.connect(options).list('/api/v1/schedules', scheduleSchema, { space: options.space });
  const now = session.host.now();
  const { colours } = session.output;
  session.output.list(
    options.output,
    items,
    [
      { title: 'NAME', value: (one) => one.name },
      { title: 'RUNBOOK', value: (one) => one.runbook },
      { title: 'WHEN', value: (one) => one.when },
      { title: 'ZONE', value: (one) => one.timeZone },
      { title: 'STATE', value: stateOf, paint: (cell) => paintState(colours, cell) },
      { title: 'NEXT', value: (one) => nextText(one, now) },
      { title: 'LAST', value: (one) => lastText(one) },
    ],
    'No schedules.',
  );
  return EXIT.ok;
}

export async function showSchedule(session: Session, name: string, options: SpaceOptions): Promise<number> {
  const schedule = await session.connect(options).get(schedulePath(name), scheduleSchema, { space: options.space });
  session.output.data(options.output, schedule, () => shown(session, schedule));
  return EXIT.ok;
}

function shown({ output, host }: Session, schedule: Schedule): string {
  const { paused } = schedule;
  const zone = readerZone();
  const head = output.fields(
    [
      ['name', schedule.name],
      ['runbook', schedule.runbook],
      ['when', `${schedule.when} (${schedule.timeZone})`],
      ['state', stateOf(schedule)],
      ['paused', paused === null ? null : pausedText(paused)],
      ['waiting', schedule.waiting === 0 ? null : `${schedule.waiting}, see fettle schedule ledger ${schedule.name}`],
      ['quarantined', schedule.quarantineReason],
    ],
    (name, text) => (name === 'state' ? paintState(output.colours, text) : text),
  );
  const next =
    schedule.nextFires.length === 0
      ? `${noFireText(schedule)}\n`
      : output.table(schedule.nextFires, fireColumns(schedule.timeZone, zone, host.now()));
  if (schedule.lastFires.length === 0) return `${head}\n${next}`;
  const last = output.table(
    schedule.lastFires,
    ledgerColumns(output, (fire) => inZone(fire.nominalAt, schedule.timeZone)),
  );
  return `${head}\n${next}\n${last}`;
}

function pausedText({ since, until, by, reason }: NonNullable<Schedule['paused']>): string {
  return `since ${since}${until === null ? '' : ` until ${until}`} by ${by}: ${reason}`;
}

function noFireText(schedule: Schedule): string {
  if (stateOf(schedule) === 'active') return 'It is never due again.';
  return `It starts nothing while it is ${stateOf(schedule)}; \`fettle schedule preview ${schedule.name}\` shows when it would.`;
}

export function stateOf(schedule: Schedule): string {
  if (schedule.quarantineReason !== null) return 'quarantined';
  return schedule.paused === null ? 'active' : 'paused';
}

function nextText(schedule: Schedule, now: Date): string {
  const next = schedule.nextFires[0];
  return next === undefined || stateOf(schedule) !== 'active' ? '' : `in ${untilText(next.at, now)}`;
}

function lastText({ lastFires }: Schedule): string {
  const last = lastFires[0];
  return last === undefined ? '' : `${last.outcome} ${last.nominalAt}`;
}
