import {
  calendarDetailSchema,
  calendarStatusSchema,
  type CalendarDetail,
  type CalendarStatus,
} from '@fettle/contracts';
import { EXIT } from '../../session/exit-codes.js';
import { plural } from '../../output/text.js';
import type { Session, SpaceOptions } from '../../session/session.js';
import { openText } from './calendar-text.js';

interface ShowOptions extends SpaceOptions {
  readonly from?: string;
  readonly to?: string;
  readonly site?: string;
}

export async function showCalendar(session: Session, name: string, options: ShowOptions): Promise<number> {
  const { space, from, to, site } = options;
  const path = `/api/v1/calendars/${encodeURIComponent(name)}`;
  const found = await session.connect(options).get(path, calendarDetailSchema, { space, from, to, site });
  session.output.data(options.output, found, () => shown(session, found));
  return EXIT.ok;
}

function shown({ output }: Session, found: CalendarDetail): string {
  const undetermined =
    found.undeterminedCount === 0 ? '' : `; for ${plural(found.undeterminedCount, 'asset')} it could not be determined`;
  const head = output.fields([
    ['name', found.name],
    ['zone', found.timeZone],
    ['now', openText(found.now)],
    ['assets', found.assets === null ? 'where it is named' : `${found.assets} (${found.assetCount}${undetermined})`],
    ['windows', found.windows === 0 ? 'none: open but in freezes and on holidays' : String(found.windows)],
    ['freezes', String(found.freezes)],
    ['holidays', String(found.holidays)],
    ['description', found.description],
  ]);
  const table = output.table(found.stretches, [
    { title: 'FROM', value: (one) => one.fromLocal },
    { title: 'TO', value: (one) => one.toLocal },
    { title: 'STATE', value: (one) => (one.isOpen ? 'open' : 'closed') },
    { title: 'WHY', value: (one) => [one.reason, one.name].filter((text) => text !== null && text !== '').join(': ') },
  ]);
  const closures =
    found.closures.length === 0
      ? ''
      : `\n${output.table(found.closures, [
          { title: 'FROM', value: (one) => one.fromLocal },
          { title: 'TO', value: (one) => one.toLocal },
          { title: 'CLOSED BY', value: (one) => one.reason },
          { title: 'NAME', value: (one) => one.name },
        ])}`;
  return `${head}\n${table}${closures}${found.isCut ? '... and more; give --to.\n' : ''}`;
}

interface StatusOptions extends SpaceOptions {
  readonly asset?: string;
  readonly at?: string;
}

export async function calendarStatus(session: Session, options: StatusOptions): Promise<number> {
  const { space, asset, at } = options;
  const found = await session
    .connect(options)
    .get('/api/v1/calendar-status', calendarStatusSchema, { space, asset, at });
  session.output.data(options.output, found, () => statusText(session, found));
  return EXIT.ok;
}

function statusText({ output }: Session, { at, asset, state, calendars }: CalendarStatus): string {
  const head = output.fields([
    ['at', at],
    ['asset', asset],
    ['state', state === null ? null : openText(state)],
  ]);
  if (calendars.length === 0) return `${head}${asset === null ? 'No calendars.' : 'No calendar holds for it.'}\n`;
  const table = output.table(calendars, [
    { title: 'CALENDAR', value: (one) => one.name },
    { title: 'ZONE', value: (one) => one.timeZone },
    { title: 'STATE', value: (one) => openText(one.state) },
    { title: 'ASSETS', value: (one) => one.selector ?? '(where it is named)' },
  ]);
  return `${head}\n${table}`;
}
