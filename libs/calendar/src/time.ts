import { FettleError } from '@fettle/contracts';

/** A time as ISO 8601 text (UTC where it has no offset), a Date, or milliseconds since 1970. */
export type Time = string | Date | number;

export const MIN_TIME_MS = Date.UTC(1900, 0, 1);
export const MAX_TIME_MS = Date.UTC(2300, 0, 1);

/**
 * Milliseconds since 1970 of a time.
 * @throws FettleError `invalid-time`
 */
export function timeMs(time: Time): number {
  const ms =
    typeof time === 'number' ? time : time instanceof Date ? time.getTime() : (parseTime(time)?.ms ?? Number.NaN);
  if (Number.isFinite(ms) && ms >= MIN_TIME_MS && ms <= MAX_TIME_MS) return ms;
  throw invalidTime(String(time));
}

export interface ParsedTime {
  /** Milliseconds since 1970, or those of the wall clock as if it were UTC where `hasOffset` is false. */
  readonly ms: number;
  readonly hasOffset: boolean;
  readonly isDate: boolean;
}

/** As `timeMs`, for text of which a caller reads what has no offset by some zone. @throws FettleError `invalid-time` */
export function localOrAbsolute(text: string): ParsedTime {
  const parsed = parseTime(text);
  if (parsed && parsed.ms >= MIN_TIME_MS && parsed.ms <= MAX_TIME_MS) return parsed;
  throw invalidTime(text);
}

function invalidTime(text: string): FettleError {
  return new FettleError({
    code: 'invalid-time',
    message: `"${text.slice(0, 60)}" is no time between 1900 and 2300`,
    remedy: 'Write it as 2026-03-29T01:30:00Z, with an offset such as +02:00, or without one for UTC.',
  });
}

const ISO = /^(\d{4}-\d{2}-\d{2})(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?$/i;

function parseTime(text: string): ParsedTime | null {
  const iso = text.trim().slice(0, 60).replace(' ', 'T').toUpperCase();
  const match = ISO.exec(iso);
  if (!match) return null;
  const [, date = '', offset] = match;
  const isDate = !iso.includes('T');
  const ms = Date.parse(offset === undefined && !isDate ? `${iso}Z` : iso);
  const day = Date.parse(date);
  // Date.parse makes March of the 30th of February.
  if (Number.isNaN(ms) || Number.isNaN(day) || new Date(day).toISOString().slice(0, 10) !== date) return null;
  return { ms, hasOffset: offset !== undefined, isDate };
}

/** UTC without milliseconds: instants of schedules are whole seconds. */
export function utcText(atMs: number): string {
  return `${new Date(atMs).toISOString().slice(0, 19)}Z`;
}
