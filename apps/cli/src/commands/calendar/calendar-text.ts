import type { ClosedBy, Entry, OpenState, PlannedCalendar, RunCalendar } from '@fettle/contracts';
import { duration, plural } from '../../output/text.js';

const why = { window: 'outside of its windows', freeze: 'freeze', holiday: 'holiday' } as const;

/** `prod-nights (outside of its windows), opens 2026-11-24T21:00:00Z`. */
export function closedText({ calendar, reason, nextOpenAt }: ClosedBy): string {
  return `${calendar} (${why[reason]}), ${nextOpenAt === null ? 'no next opening is known' : `opens ${shortTime(nextOpenAt)}`}`;
}

export function openText({ isOpen, closesAt, isCut, closedBy }: OpenState): string {
  const atLeast = isCut === true ? ' at least' : '';
  if (isOpen) return closesAt === undefined ? 'open' : `open until ${shortTime(closesAt)}${atLeast}`;
  return closedBy === undefined ? 'closed' : `closed: ${closedText(closedBy)}`;
}

/** Whole seconds. */
function shortTime(at: string): string {
  return at.replace(/\.\d+Z$/, 'Z');
}

/** What a run has to do with calendars, to whoever follows it; null: the entry is about something else. */
export function calendarNote({ kind, asset, data }: Entry): string | null {
  const closed = data as unknown as ClosedBy;
  switch (kind) {
    case 'run-closed':
      return `The run waits for ${closedText(closed)}.`;
    case 'run-reopened':
      return `The run goes on, after ${duration(Number(data.waitedMs))} in which its timeout stood still.`;
    case 'targets-closed':
      return `${plural(Number(data.targets), 'target')} (${String(data.example)}) wait for ${closedText(closed)}.`;
    case 'target-closed':
      return `${asset ?? 'A target'} waits for ${closedText(closed)}.`;
    case 'calendar-overridden':
      return `The run goes on outside of its calendars, by ${String(data.by)}: ${String(data.reason)}`;
    default:
      return null;
  }
}

/** How a run stands to calendars; `closed`: what one of its targets waits for. */
export function calendarFields(calendar: RunCalendar | undefined, closed?: ClosedBy): [string, string][] {
  if (calendar === undefined) return [];
  const { named, override, closedSince, waiting, onClose } = calendar;
  const fields: [string, string][] = [];
  const names = [...new Set(named.flat())];
  if (names.length > 0)
    fields.push(['calendars', `${names.join(', ')}${onClose === 'park' ? ' (parks on close)' : ''}`]);
  if (override !== null) fields.push(['overridden', `calendars, by ${override.by}: ${override.reason}`]);
  if (waiting > 0) {
    const what = closed === undefined ? 'a calendar to open' : closedText(closed);
    fields.push(['waiting', `${plural(waiting, 'target')} for ${what}`]);
  }
  if (closedSince !== null) fields.push(['closed since', `${closedSince}; its timeout stands still`]);
  return fields;
}

/** What a planned run would meet of calendars now. */
export function plannedCalendarFields(calendar: PlannedCalendar | undefined): [string, string][] {
  if (calendar === undefined) return [];
  const { state, expectedMs, closesBeforeEnd, closed } = calendar;
  const early =
    closesBeforeEnd && expectedMs !== null
      ? `; a run takes ${duration(expectedMs)} as a rule, and would not end before`
      : '';
  return [
    ['calendar', `${openText(state)}${early}`],
    ...closed.map((one): [string, string] => [
      'closed for',
      `${one.example}${one.targets > 1 ? ` and ${one.targets - 1} more` : ''}: ${closedText(one)}`,
    ]),
  ];
}
