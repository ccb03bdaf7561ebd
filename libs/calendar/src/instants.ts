import { FettleError } from '@fettle/contracts';
import { jitterMs } from './jitter.js';
import { nominalInstants, type NominalInstants } from './nominal.js';
import type { Jitter, Recurrence } from './recurrence.js';
import { MAX_TIME_MS, timeMs, utcText, type Time } from './time.js';
import type { InstantNote, RawInstant, SkipNote } from './wall-clock.js';
import { offsetText, zoneOf } from './zone.js';

export interface Instant {
  /** UTC, e.g. `2026-03-29T01:30:00Z`. */
  readonly at: string;
  /** The same with the clock of the zone, e.g. `2026-03-29T03:30:00+02:00`. */
  readonly local: string;
  /** `overlap-first` and `overlap-last` tell which of two equal local times this is. */
  readonly note: InstantNote;
}

/** Most instants that one call returns. */
export const MAX_INSTANTS = 10_000;

interface Range {
  /** Inclusive. */
  readonly from: Time;
  /** Exclusive. */
  readonly to?: Time;
  /** At most so many. One of `to` and `count` is needed. */
  readonly count?: number;
}

export type InstantsQuery = Recurrence & Range;

/**
 * The instants of a schedule in [from, to), or the first `count` from `from` on: ascending, none twice.
 * @throws FettleError `invalid-time-zone`, `invalid-time`, or `limit-exceeded` where more than `MAX_INSTANTS` lie in the range
 */
export function instants(query: InstantsQuery): Instant[] {
  const { count = MAX_INSTANTS, to } = query;
  if (to === undefined && query.count === undefined) throw new RangeError('instants needs to or count');
  if (count > MAX_INSTANTS) throw tooMany();
  const found: Instant[] = [];
  if (count <= 0) return found;
  for (const instant of iterateInstants(query, timeMs(query.from), to === undefined ? MAX_TIME_MS : timeMs(to))) {
    if (found.length >= count) throw tooMany();
    found.push(written(instant));
    if (query.count !== undefined && found.length >= count) break;
  }
  return found;
}

/** The next `count` instants strictly after a time. */
export function nextInstants(query: Recurrence & { readonly after: Time; readonly count: number }): Instant[] {
  return query.count <= 0 ? [] : instants({ ...query, from: timeMs(query.after) + 1 });
}

/** The last instant strictly before a time, or null where none lies within the search limit (84 years). */
export function previousInstant(query: Recurrence & { readonly before: Time }): Instant | null {
  const found = previousRawInstant(query, timeMs(query.before));
  return found ? written(found) : null;
}

export interface PreviewRow {
  readonly at: string;
  /** For a skipped one, the local time that the schedule names, with the offset by which `at` was computed. */
  readonly local: string;
  readonly note: InstantNote | SkipNote;
}

/** As `instants`, with what the policies and exclusions skip; skipped ones do not count, and none comes after the last instant. */
export function previewInstants(query: Recurrence & { readonly from: Time; readonly count: number }): PreviewRow[] {
  const [fromMs, found] = [timeMs(query.from), [] as PreviewRow[]];
  if (query.count > MAX_INSTANTS) throw tooMany();
  let [fires, waiting] = [0, [] as RawInstant[]];
  const rows = withJitter(query, nominalInstants(query, true), fromMs, MAX_TIME_MS);
  for (const row of rows) {
    if (fires >= query.count) break;
    if (found.length + waiting.length >= MAX_INSTANTS) break;
    if (row.skipped !== undefined) {
      waiting.push(row);
      continue;
    }
    fires += 1;
    found.push(...waiting.map(writtenSkipped), written(row));
    waiting = [];
  }
  // The schedule ended: what was skipped after its last instant is part of the answer.
  if (fires < query.count) found.push(...waiting.map(writtenSkipped));
  return found;
}

export function previousRawInstant(recurrence: Recurrence, beforeMs: number): RawInstant | null {
  const nominal = nominalInstants(recurrence);
  const { jitter } = recurrence;
  let found = nominal.previous(beforeMs);
  if (!jitter || jitter.maxMs < 1000) return found;
  // Jittered instants keep their order, so the first from the end that still comes before is the last one.
  let nextMs = firstFrom(nominal, found === null ? beforeMs : found.atMs + 1);
  while (found) {
    const moved = jittered(jitter, recurrence.timeZone, found, nextMs);
    if (moved.atMs < beforeMs) return moved;
    nextMs = found.atMs;
    found = nominal.previous(found.atMs);
  }
  return null;
}

function firstFrom(nominal: NominalInstants, fromMs: number): number {
  for (const { atMs } of nominal.iterate(fromMs, MAX_TIME_MS)) return atMs;
  return Infinity;
}

/** Instants in [fromMs, toMs), computed as they are asked for. Ends also where none comes within the search limit. */
export function iterateInstants(recurrence: Recurrence, fromMs: number, toMs: number): Generator<RawInstant> {
  return withJitter(recurrence, nominalInstants(recurrence), fromMs, toMs);
}

function* withJitter(
  { jitter, timeZone }: Recurrence,
  nominal: NominalInstants,
  fromMs: number,
  toMs: number,
): Generator<RawInstant> {
  if (!jitter || jitter.maxMs < 1000) {
    yield* nominal.iterate(fromMs, toMs);
    return;
  }
  let held: RawInstant | null = null;
  for (const instant of nominal.iterate(fromMs - jitter.maxMs, MAX_TIME_MS)) {
    if (instant.skipped !== undefined) {
      if (instant.atMs >= fromMs && instant.atMs < toMs) yield instant;
      continue;
    }
    if (held) {
      const moved = jittered(jitter, timeZone, held, instant.atMs);
      if (moved.atMs >= toMs) return;
      if (moved.atMs >= fromMs) yield moved;
    }
    held = instant;
    if (instant.atMs >= toMs) return;
  }
  const last = held ? jittered(jitter, timeZone, held, Infinity) : null;
  if (last && last.atMs >= fromMs && last.atMs < toMs) yield last;
}

/** Never as late as the next one, so that instants stay apart and in their order. */
function jittered(jitter: Jitter, timeZone: string, instant: RawInstant, nextMs: number): RawInstant {
  const atMs = Math.min(instant.atMs + jitterMs(jitter, instant.atMs), nextMs - 1000);
  // The clock may be moved meanwhile.
  return { ...instant, atMs, offsetMs: zoneOf(timeZone).offsetAt(atMs) };
}

function written({ atMs, offsetMs, note }: Pick<RawInstant, 'atMs' | 'offsetMs' | 'note'>): Instant {
  return {
    at: utcText(atMs),
    local: `${new Date(atMs + offsetMs).toISOString().slice(0, 19)}${offsetText(offsetMs)}`,
    note,
  };
}

/** A moment by the clock of a zone, as `Instant` has it. @throws FettleError `invalid-time-zone` */
export function localTime(at: Time, timeZone: string): string {
  const atMs = timeMs(at);
  return written({ atMs, offsetMs: zoneOf(timeZone).offsetAt(atMs), note: '' }).local;
}

function writtenSkipped({ atMs, nominalMs, note, skipped }: RawInstant): PreviewRow {
  return {
    at: utcText(atMs),
    local: `${new Date(nominalMs).toISOString().slice(0, 19)}${offsetText(nominalMs - atMs)}`,
    note: skipped ?? note,
  };
}

function tooMany(): FettleError {
  return new FettleError({
    code: 'limit-exceeded',
    message: `more than ${MAX_INSTANTS} instants were asked for`,
    remedy: 'Ask for a shorter range or a smaller count.',
  });
}
