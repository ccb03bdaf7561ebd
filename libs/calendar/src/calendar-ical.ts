import {
  FettleError,
  freezeSchema,
  holidaySchema,
  windowSchema,
  type Freeze,
  type Holiday,
  type MaintenanceWindow,
} from '@fettle/contracts';
import { icalText, parseIcal, type IcalComponent, type IcalProperty } from './calendar-ical-lines.js';
import {
  icalDuration,
  icalTime,
  instantOfIcal,
  isoOfIcal,
  NotImported,
  ruleTimeOf,
  zoneNames,
  type IcalLength,
  type IcalTime,
  type ZoneNames,
} from './calendar-ical-times.js';
import { DAY_MS } from './days.js';
import { holidaySpan, spanOf } from './window-span.js';
import { assertTimeZone, zoneOf } from './zone.js';

export interface IcalOptions {
  /** What its events are. */
  readonly as: 'windows' | 'freezes' | 'holidays';
  /** IANA name: the clock of what names none. */
  readonly timeZone: string;
  /** IANA names of zones that the file calls otherwise. */
  readonly zones?: Readonly<Record<string, string>> | undefined;
  /** Of each window. */
  readonly cutoff?: string | undefined;
}

/** What became of a component of the file. */
export interface ImportedEvent {
  /** Where it begins, from 1. */
  readonly line: number;
  readonly kind: string;
  readonly name: string;
  readonly became: 'window' | 'freeze' | 'holiday' | 'left out' | 'not imported';
  readonly notes: readonly string[];
}

export interface ImportedIcal {
  readonly windows: readonly MaintenanceWindow[];
  readonly freezes: readonly Freeze[];
  readonly holidays: readonly Holiday[];
  /** One for each component but zones, in the order of the file. */
  readonly events: readonly ImportedEvent[];
}

interface Import extends IcalOptions {
  readonly zoneOf: ZoneNames;
  /** Times that other components of the file take the place of, by the UID of what they are of. */
  readonly replaced: ReadonlyMap<string, readonly IcalProperty[]>;
  readonly found: { windows: MaintenanceWindow[]; freezes: Freeze[]; holidays: Holiday[] };
}

const became = { windows: 'window', freezes: 'freeze', holidays: 'holiday' } as const;

/**
 * Windows, freezes or holidays of an iCalendar file. What cannot be one is in `events` with the reason: nothing is dropped in silence.
 * @throws FettleError `invalid-import` for a text that is no iCalendar, `invalid-time-zone` for the zone of the options
 */
export function importIcal(text: string, options: IcalOptions): ImportedIcal {
  assertTimeZone(options.timeZone);
  const found = { windows: [], freezes: [], holidays: [] };
  const events: ImportedEvent[] = [];
  for (const calendar of parseIcal(text)) {
    if (calendar.name !== 'VCALENDAR') {
      events.push({
        line: calendar.line,
        kind: calendar.name,
        name: '',
        became: 'not imported',
        notes: ['it is no calendar'],
      });
      continue;
    }
    const replaced = replacedTimes(calendar);
    const run: Import = { ...options, zoneOf: zoneNames(calendar, options.zones ?? {}), replaced, found };
    for (const component of calendar.components) {
      if (component.name !== 'VTIMEZONE') events.push(importComponent(component, run));
    }
  }
  return { ...found, events };
}

/** An event with a RECURRENCE-ID stands for one time of the event with the same UID. */
function replacedTimes({ components }: IcalComponent): ReadonlyMap<string, readonly IcalProperty[]> {
  const replaced = new Map<string, IcalProperty[]>();
  for (const event of components) {
    const time = propertyOf(event, 'RECURRENCE-ID');
    if (event.name !== 'VEVENT' || time === undefined) continue;
    const uid = propertyOf(event, 'UID')?.value ?? '';
    replaced.set(uid, [...(replaced.get(uid) ?? []), time]);
  }
  return replaced;
}

function importComponent(component: IcalComponent, run: Import): ImportedEvent {
  const name = icalText(propertyOf(component, 'SUMMARY')?.value ?? '')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, 200);
  const base = { line: component.line, kind: component.name, name };
  if (component.name !== 'VEVENT') {
    return { ...base, became: 'not imported', notes: [`a ${component.name} says nothing of when work may begin`] };
  }
  if (propertyOf(component, 'STATUS')?.value.trim().toUpperCase() === 'CANCELLED') {
    return { ...base, became: 'left out', notes: ['it was cancelled'] };
  }
  const notes: string[] = [];
  try {
    addEvent(component, name, run, notes);
    return { ...base, became: became[run.as], notes };
  } catch (error) {
    if (!(error instanceof NotImported) && !(error instanceof FettleError)) throw error;
    return { ...base, became: 'not imported', notes: [...notes, error.message] };
  }
}

function addEvent(event: IcalComponent, name: string, run: Import, notes: string[]): void {
  const started = propertyOf(event, 'DTSTART');
  if (started === undefined) throw new NotImported('it has no DTSTART');
  if (propertyOf(event, 'RECURRENCE-ID')?.parameters.get('RANGE') !== undefined)
    throw new NotImported('RECURRENCE-ID with RANGE is not read: export the two series apart');
  const start = icalTime(started.value, started, run.zoneOf);
  const length = lengthOf(event, start, run);
  const named = name === '' ? {} : { name };
  const rules = event.properties.filter((one) => one.name === 'RRULE');
  if (rules.length > 1) throw new NotImported('it has more than one RRULE');
  if (propertyOf(event, 'EXRULE') !== undefined) throw new NotImported('EXRULE is no part of RFC 5545 any more');
  if (propertyOf(event, 'TRANSP')?.value.trim().toUpperCase() === 'TRANSPARENT')
    notes.push('it is marked as free (TRANSP:TRANSPARENT), and counts all the same');
  const [rule] = rules;
  const extra = timesOf(event, 'RDATE', run);
  if (rule === undefined) {
    for (const one of remainingTimes(event, start, extra, run)) addOnce(one, length, named, run);
    return;
  }
  const zone = start.zone ?? run.timeZone;
  const lines = [
    `DTSTART:${ruleTimeOf(start)}`,
    `RRULE:${rule.value.trim()}`,
    ...extra.map((time) => `RDATE:${ruleTimeOf(inZone(time, zone, run))}`),
    ...exceptions(event, start, zone, run).map((time) => `EXDATE:${ruleTimeOf(time)}`),
  ];
  addRecurring(lines.join('\n'), start, length, named, run);
}

/**
 * The times of an event without a rule, each once (RFC 5545 3.8.5.2), but for those that are taken out.
 * @throws NotImported where none is left
 */
function remainingTimes(event: IcalComponent, start: IcalTime, extra: readonly IcalTime[], run: Import): IcalTime[] {
  const keyOf = (time: IcalTime): number =>
    start.isDate ? Math.floor(time.localMs / DAY_MS) * DAY_MS : instantOfIcal(time, run.timeZone);
  const gone = new Set(exceptions(event, start, start.zone ?? run.timeZone, run).map(keyOf));
  const left = new Map([start, ...extra].filter((time) => !gone.has(keyOf(time))).map((time) => [keyOf(time), time]));
  if (left.size === 0) throw new NotImported('EXDATE and RECURRENCE-ID take out all of its times');
  return [...left.values()];
}

/** Times that an EXDATE or another component of the same UID takes out, by the clock of the event. */
function exceptions(event: IcalComponent, start: IcalTime, zone: string, run: Import): IcalTime[] {
  const uid = propertyOf(event, 'UID')?.value ?? '';
  // An event that stands for one time of another does not take itself out.
  const taken = propertyOf(event, 'RECURRENCE-ID') === undefined ? (run.replaced.get(uid) ?? []) : [];
  const replaced = taken.map((one) => icalTime(one.value, one, run.zoneOf));
  return [...timesOf(event, 'EXDATE', run), ...replaced].map((time) => {
    // Some programs write the time of an all-day event.
    if (start.isDate) return { ...time, isDate: true, localMs: Math.floor(time.localMs / DAY_MS) * DAY_MS };
    return inZone(time, zone, run);
  });
}

function inZone(time: IcalTime, zone: string, run: Import): IcalTime {
  if (time.isDate || time.zone === null || time.zone === zone) return time;
  const atMs = instantOfIcal(time, run.timeZone);
  return { isDate: false, localMs: atMs + zoneOf(zone).offsetAt(atMs), zone };
}

function timesOf(event: IcalComponent, name: 'RDATE' | 'EXDATE', run: Import): IcalTime[] {
  return event.properties
    .filter((one) => one.name === name)
    .flatMap((property) => {
      if (property.parameters.get('VALUE')?.toUpperCase() === 'PERIOD')
        throw new NotImported(`${name} with periods is not read: make events of them`);
      return property.value.split(',').map((text) => icalTime(text, property, run.zoneOf));
    });
}

/** RFC 5545 3.6.1: DTEND, DURATION, or else one day of an event that is of days. */
function lengthOf(event: IcalComponent, start: IcalTime, run: Import): IcalLength {
  const duration = propertyOf(event, 'DURATION');
  if (duration !== undefined) return icalDuration(duration.value);
  const ended = propertyOf(event, 'DTEND');
  if (ended === undefined) {
    if (start.isDate) return { days: 1 };
    throw new NotImported('it has neither DTEND nor DURATION, so that it takes no time');
  }
  const end = icalTime(ended.value, ended, run.zoneOf);
  if (start.isDate !== end.isDate) throw new NotImported('DTSTART is a day and DTEND a time, or the other way round');
  const ms = start.isDate
    ? end.localMs - start.localMs
    : instantOfIcal(end, run.timeZone) - instantOfIcal(start, run.timeZone);
  if (ms <= 0) throw new NotImported('it ends before it begins, or at once');
  return start.isDate ? { days: ms / DAY_MS } : { ms };
}

type Named = { readonly name?: string };

function addOnce(start: IcalTime, length: IcalLength, named: Named, run: Import): void {
  if (run.as === 'holidays') {
    const days = wholeDays(start, length);
    return addHoliday({ ...named, date: isoOfIcal(start), ...(days === 1 ? {} : { days }) }, run);
  }
  const zone = start.zone ?? run.timeZone;
  if (start.isDate && 'days' in length) {
    const last = { ...start, localMs: start.localMs + (length.days - 1) * DAY_MS };
    return addSpan({ ...named, from: isoOfIcal(start), to: isoOfIcal(last) }, run);
  }
  const atMs = instantOfIcal(start, run.timeZone);
  const endMs = 'ms' in length ? atMs + length.ms : zoneOf(zone).instantOf(start.localMs + length.days * DAY_MS);
  const end = { ...start, localMs: endMs + zoneOf(zone).offsetAt(endMs) };
  addSpan({ ...named, from: isoOfIcal(start), to: isoOfIcal(end), ...ownZone(start, run) }, run);
}

function addRecurring(rrule: string, start: IcalTime, length: IcalLength, named: Named, run: Import): void {
  if (run.as === 'holidays') {
    const days = wholeDays(start, length);
    return addHoliday({ ...named, rrule, ...(days === 1 ? {} : { days }) }, run);
  }
  const lasting = 'days' in length ? { days: length.days } : { duration: durationText(length.ms) };
  addSpan({ ...named, rrule, ...lasting, ...ownZone(start, run) }, run);
}

function wholeDays(start: IcalTime, length: IcalLength): number {
  if (start.isDate && 'days' in length) return length.days;
  throw new NotImported('a holiday is of whole days, and this has a time: import it with --as freezes');
}

function ownZone({ zone }: IcalTime, { timeZone }: Import): { timeZone?: string } {
  return zone === null || zone === timeZone ? {} : { timeZone: zone };
}

function addSpan(span: object, run: Import): void {
  if (run.as === 'windows') {
    const window = checked(
      windowSchema.safeParse({ ...span, ...(run.cutoff === undefined ? {} : { cutoff: run.cutoff }) }),
    );
    spanOf(window, run.timeZone);
    run.found.windows.push(window);
    return;
  }
  const freeze = checked(freezeSchema.safeParse(span));
  spanOf(freeze, run.timeZone);
  run.found.freezes.push(freeze);
}

function addHoliday(holiday: object, run: Import): void {
  const parsed = checked(holidaySchema.safeParse(holiday));
  holidaySpan(parsed, run.timeZone);
  run.found.holidays.push(parsed);
}

interface ParseResult<Value> {
  readonly success: boolean;
  readonly data?: Value | undefined;
  readonly error?:
    { readonly issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[] } | undefined;
}

function checked<Value>({ success, data, error }: ParseResult<Value>): Value {
  if (success && data !== undefined) return data;
  const issue = error?.issues[0];
  throw new NotImported(`${issue?.path.map(String).join('.') ?? ''}: ${issue?.message ?? 'invalid'}`);
}

function durationText(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds % 3600 === 0) return `${seconds / 3600}h`;
  return seconds % 60 === 0 ? `${seconds / 60}m` : `${seconds}s`;
}

function propertyOf({ properties }: IcalComponent, name: string): IcalProperty | undefined {
  return properties.find((one) => one.name === name);
}
