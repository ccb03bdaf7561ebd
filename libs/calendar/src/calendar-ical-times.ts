import type { IcalComponent, IcalProperty } from './calendar-ical-lines.js';
import { DAY_MS } from './days.js';
import { isTimeZone, zoneOf } from './zone.js';

/** A time of an event. `zone` null: by the clock of whoever reads it. */
export interface IcalTime {
  readonly isDate: boolean;
  /** As if its clock were UTC. */
  readonly localMs: number;
  readonly zone: string | null;
}

/** What cannot be imported, in words. */
export class NotImported extends Error {}

/** Zones by the names that the file uses. */
export type ZoneNames = (tzid: string) => string | null;

/** What the file's own VTIMEZONE components, and whoever imports it, say of names of zones. */
export function zoneNames(calendar: IcalComponent, given: Readonly<Record<string, string>>): ZoneNames {
  const located = new Map<string, string>();
  for (const { name, properties } of calendar.components) {
    if (name !== 'VTIMEZONE') continue;
    const value = (wanted: string): string | undefined => properties.find((one) => one.name === wanted)?.value.trim();
    const [id, location] = [value('TZID'), value('X-LIC-LOCATION')];
    if (id !== undefined && location !== undefined) located.set(id, location);
  }
  return (tzid) => {
    const known = Object.hasOwn(given, tzid) ? given[tzid] : undefined;
    // Some programs put their own name before: /freeassociation.sourceforge.net/Europe/Berlin.
    const tails = tzid.split('/').map((_, index, parts) => parts.slice(index).join('/'));
    return [known, tzid, located.get(tzid), ...tails].find((name) => name !== undefined && isTimeZone(name)) ?? null;
  };
}

const TIME = /^(\d{4})(\d{2})(\d{2})(?:T(\d{2})(\d{2})(\d{2})(Z?))?$/i;

/** @throws NotImported */
export function icalTime(text: string, { parameters, name }: IcalProperty, zones: ZoneNames): IcalTime {
  const match = TIME.exec(text.trim());
  const [, year, month, day, hour, minute, second, utc] = match ?? [];
  const localMs = Date.UTC(
    Number(year),
    Number(month) - 1,
    Number(day),
    Number(hour ?? 0),
    Number(minute ?? 0),
    Number(second ?? 0),
  );
  const isReal =
    match !== null &&
    !Number.isNaN(localMs) &&
    new Date(localMs).toISOString().slice(0, 10) === `${year}-${month}-${day}`;
  if (!isReal) throw new NotImported(`${name}: "${text.slice(0, 40)}" is no time`);
  if (hour === undefined) return { isDate: true, localMs, zone: null };
  if (utc !== undefined && utc !== '') return { isDate: false, localMs, zone: 'UTC' };
  const tzid = parameters.get('TZID');
  if (tzid === undefined) return { isDate: false, localMs, zone: null };
  const zone = zones(tzid);
  if (zone !== null) return { isDate: false, localMs, zone };
  throw new NotImported(
    `${name}: "${tzid.slice(0, 80)}" is no IANA time zone; say which one it is with --zone-of '${tzid.slice(0, 80)}=Europe/Berlin'`,
  );
}

/** The instant of a time; what is by nobody's clock in particular is by `zone`. */
export function instantOfIcal(time: IcalTime, zone: string): number {
  return zoneOf(time.zone ?? zone).instantOf(time.localMs);
}

export type IcalLength = { readonly days: number } | { readonly ms: number };

const DURATION = /^\+?P(?:(\d{1,4})W|(?:(\d{1,5})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,8})S)?)?)$/;

/** RFC 5545 3.3.6. Whole days are days of the clock, anything else is time that goes by. @throws NotImported */
export function icalDuration(text: string): IcalLength {
  const match = DURATION.exec(text.trim().toUpperCase());
  const [weeks, days, hours, minutes, seconds] = (match?.slice(1) ?? []).map((part) => Number(part ?? 0));
  const timeMs = ((hours ?? 0) * 3600 + (minutes ?? 0) * 60 + (seconds ?? 0)) * 1000;
  const allDays = (weeks ?? 0) * 7 + (days ?? 0);
  if (match === null || timeMs + allDays === 0) throw new NotImported(`DURATION: "${text.slice(0, 40)}" is no length`);
  return timeMs === 0 ? { days: allDays } : { ms: timeMs + allDays * DAY_MS };
}

/** `2026-12-24` or `2026-12-24T18:00:00`, and `Z` behind it where it is UTC. */
export function isoOfIcal({ isDate, localMs, zone }: IcalTime): string {
  const text = new Date(localMs).toISOString();
  return isDate ? text.slice(0, 10) : `${text.slice(0, 19)}${zone === 'UTC' ? 'Z' : ''}`;
}

/** `20261224` or `20261224T180000`, as a line of a rule has it. */
export function ruleTimeOf({ isDate, localMs }: Pick<IcalTime, 'isDate' | 'localMs'>): string {
  const text = new Date(localMs).toISOString().slice(0, 19).replace(/[-:]/g, '');
  return isDate ? text.slice(0, 8) : text;
}
