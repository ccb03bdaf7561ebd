import { FettleError } from '@fettle/contracts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const SECOND_MS = 1000;
const MAX_CACHED_ZONES = 64;
const MAX_CACHED_DAYS = 20_000;

/** The clock of a zone is moved at `atMs`: local time is UTC plus `beforeMs` until then, plus `afterMs` from then on. */
export interface Transition {
  readonly atMs: number;
  readonly beforeMs: number;
  readonly afterMs: number;
}

/**
 * An IANA zone by the data of the runtime (ICU). Offsets are asked for once a day and transitions found by halving, so the cost follows the
 * days that are looked at. Two transitions within one UTC day that cancel each other would be missed; in all of the
 * zone data (2025b, 1900 to 2087) no two are nearer than six days.
 */
export class Zone {
  readonly name: string;
  readonly #format: Intl.DateTimeFormat;
  readonly #dayOffsets = new Map<number, number>();
  readonly #dayTransitions = new Map<number, readonly Transition[]>();

  constructor(name: string) {
    this.name = name;
    this.#format = formatOf(name);
  }

  /** Local time minus UTC in milliseconds, at an instant. */
  offsetMs(atMs: number): number {
    const second = Math.floor(atMs / SECOND_MS) * SECOND_MS;
    const text = this.#format.format(second);
    const part = (from: number, to: number): number => Number(text.slice(from, to));
    const localMs = Date.UTC(part(6, 10), part(0, 2) - 1, part(3, 5), part(12, 14), part(15, 17), part(18, 20));
    return localMs - second;
  }

  /** As `offsetMs`, from what is remembered of the day. */
  offsetAt(atMs: number): number {
    const day = Math.floor(atMs / DAY_MS);
    let offset = this.offsetAtDayStart(day);
    for (const transition of this.transitionsOfDay(day)) if (transition.atMs <= atMs) offset = transition.afterMs;
    return offset;
  }

  /**
   * The instant of a local time (as if it were UTC) as RFC 5545 3.3.5 reads it: the first of two, and in a gap by the offset before
   * the gap.
   */
  instantOf(localMs: number): number {
    const day = Math.floor(localMs / DAY_MS);
    let beforeMs = this.offsetAt((day - 2) * DAY_MS);
    for (let near = day - 2; near <= day + 1; near += 1) {
      for (const transition of this.transitionsOfDay(near)) {
        const largerMs = Math.max(transition.beforeMs, transition.afterMs);
        if (localMs - largerMs < transition.atMs) return localMs - transition.beforeMs;
        beforeMs = transition.afterMs;
      }
    }
    return localMs - beforeMs;
  }

  offsetAtDayStart(day: number): number {
    const known = this.#dayOffsets.get(day);
    if (known !== undefined) return known;
    if (this.#dayOffsets.size >= MAX_CACHED_DAYS) this.#dayOffsets.clear();
    const offset = this.offsetMs(day * DAY_MS);
    this.#dayOffsets.set(day, offset);
    return offset;
  }

  /** Transitions after the start of the UTC day (days since 1970) and up to its end, the end included; ascending. */
  transitionsOfDay(day: number): readonly Transition[] {
    if (this.offsetAtDayStart(day) === this.offsetAtDayStart(day + 1)) return NO_TRANSITIONS;
    const known = this.#dayTransitions.get(day);
    if (known) return known;
    if (this.#dayTransitions.size >= MAX_CACHED_DAYS) this.#dayTransitions.clear();
    const found: Transition[] = [];
    const endMs = (day + 1) * DAY_MS;
    let fromMs = day * DAY_MS;
    let beforeMs = this.offsetAtDayStart(day);
    // Each round finds the first transition after `fromMs`; a day with more than a few is a defect of the data.
    for (let round = 0; round < 4 && beforeMs !== this.offsetAtDayStart(day + 1); round += 1) {
      const atMs = this.#firstChange(fromMs, endMs, beforeMs);
      const afterMs = this.offsetMs(atMs);
      found.push({ atMs, beforeMs, afterMs });
      fromMs = atMs;
      beforeMs = afterMs;
    }
    this.#dayTransitions.set(day, found);
    return found;
  }

  /** The second at which the offset stops being `offsetMs`, in (fromMs, toMs]. */
  #firstChange(fromMs: number, toMs: number, offsetMs: number): number {
    let low = fromMs;
    let high = toMs;
    while (high - low > SECOND_MS) {
      const middle = low + Math.floor((high - low) / 2 / SECOND_MS) * SECOND_MS;
      if (this.offsetMs(middle) === offsetMs) low = middle;
      else high = middle;
    }
    return high;
  }
}

const NO_TRANSITIONS: readonly Transition[] = [];

function formatOf(timeZone: string): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat('en-US', {
    timeZone,
    calendar: 'gregory',
    numberingSystem: 'latn',
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  });
}

/** Zones already opened. Only a cache of pure look-ups: what it holds never changes an answer. */
const zones = new Map<string, Zone>();

/**
 * The zone of an IANA name.
 * @throws FettleError `invalid-time-zone` with a suggestion where one is near.
 */
export function zoneOf(name: string): Zone {
  const known = zones.get(name);
  if (known) return known;
  assertTimeZone(name);
  if (zones.size >= MAX_CACHED_ZONES) zones.clear();
  const zone = new Zone(name);
  zones.set(name, zone);
  return zone;
}

/** Every part of an IANA name starts with a capital letter; offsets such as `+01:00` are no zones. */
const ZONE_NAME = /^[A-Z][A-Za-z0-9_+-]*(\/[A-Z][A-Za-z0-9_+-]*){0,2}$/;

/** @throws FettleError `invalid-time-zone` */
export function assertTimeZone(name: string): void {
  if (name.length <= 64 && ZONE_NAME.test(name) && isKnown(name)) {
    const proper = knownZones().find((zone) => zone.toLowerCase() === name.toLowerCase());
    if (proper === undefined || proper === name) return;
  }
  const suggestion = suggestZone(name);
  throw new FettleError({
    code: 'invalid-time-zone',
    message: `"${name.slice(0, 64)}" is no IANA time zone${suggestion === undefined ? '' : `; did you mean "${suggestion}"?`}`,
    remedy:
      'Name a zone such as "Europe/Berlin" or "UTC"; an offset or an abbreviation does not say when clocks change.',
    detail: suggestion === undefined ? { text: name.slice(0, 120) } : { text: name.slice(0, 120), suggestion },
  });
}

/** Whether `assertTimeZone` accepts it. */
export function isTimeZone(name: string): boolean {
  try {
    assertTimeZone(name);
    return true;
  } catch (error) {
    if (error instanceof FettleError) return false;
    throw error;
  }
}

function isKnown(name: string): boolean {
  try {
    formatOf(name);
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

function knownZones(): readonly string[] {
  return [...Intl.supportedValuesOf('timeZone'), 'UTC'];
}

function suggestZone(name: string): string | undefined {
  const wanted = name.slice(0, 64).toLowerCase().replace(/[ -]/g, '_');
  const known = knownZones();
  return (
    known.find((zone) => zone.toLowerCase() === wanted) ??
    known.find((zone) => zone.toLowerCase().endsWith(`/${wanted}`)) ??
    known.find((zone) => isNear(zone.toLowerCase(), wanted))
  );
}

/** One letter changed, missing, added, or two neighbours swapped. */
function isNear(a: string, b: string): boolean {
  let start = 0;
  while (start < a.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < Math.min(a.length, b.length) - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const [restA, restB] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  return restA.length <= 1 && restB.length <= 1
    ? true
    : restA.length === 2 && restB === `${restA[1] ?? ''}${restA[0] ?? ''}`;
}

/** Version of the zone data, such as `2025c`, where the runtime tells it. */
export function zoneDataVersion(): string | undefined {
  const runtime = (globalThis as { readonly process?: { readonly versions?: { readonly tz?: string } } }).process;
  return runtime?.versions?.tz;
}

/** `+02:00`, with seconds where an old offset has them. */
export function offsetText(offsetMs: number): string {
  const absolute = Math.abs(offsetMs);
  const two = (value: number): string => String(value).padStart(2, '0');
  const seconds = (absolute / SECOND_MS) % 60;
  const text = `${offsetMs < 0 ? '-' : '+'}${two(Math.floor(absolute / HOUR_MS))}:${two(Math.floor(absolute / 60_000) % 60)}`;
  return seconds === 0 ? text : `${text}:${two(seconds)}`;
}
