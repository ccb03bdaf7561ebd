import type { CalendarSpec } from '@fettle/contracts';
import type { CalendarClosure, CalendarGate, GateState } from './calendar-gate.js';
import { DAY_MS } from './days.js';
import { assertTimeZone } from './zone.js';
import { holidaySpan, spanOf, type Span, type Stretch } from './window-span.js';

/** What one calendar says of the time of a site. */
export interface ReadCalendar {
  readonly name: string;
  readonly timeZone: string;
  /** Cutoffs are taken away from their ends. */
  readonly windows: readonly Span[];
  readonly freezes: readonly Span[];
  readonly holidays: readonly Span[];
}

/**
 * Reads a calendar by the clock of a site; null: by its own.
 * @throws FettleError `invalid-schedule`, `invalid-time-zone`, `invalid-time`
 */
export function readCalendar(name: string, spec: CalendarSpec, site: string | null): ReadCalendar {
  const timeZone = calendarZone(spec, site);
  return {
    name,
    timeZone,
    windows: (spec.windows ?? []).map((one) => spanOf(one, timeZone)),
    freezes: (spec.freezes ?? []).map((one) => spanOf(one, timeZone)),
    holidays: (spec.holidays ?? []).map((one) => holidaySpan(one, timeZone)),
  };
}

/** The zone by which a calendar is read for a site. */
export function calendarZone({ timeZone, siteTimeZones = {} }: CalendarSpec, site: string | null): string {
  const zone = site !== null && Object.hasOwn(siteTimeZones, site) ? (siteTimeZones[site] ?? timeZone) : timeZone;
  assertTimeZone(zone);
  return zone;
}

/** Changes between open and closed that one question looks through at most. */
const MAX_CHANGES = 3000;
/** What stays open for so long is not asked when it closes. */
const FAR_MS = 400 * DAY_MS;

interface Owned {
  readonly calendar: string;
  readonly span: Span;
}

/**
 * The gate of all of these calendars together: open in any of their windows (always, where none has one), but in no freeze and on no
 * holiday of any.
 */
export function gateOf(calendars: readonly ReadCalendar[]): CalendarGate {
  const of = (kind: 'windows' | 'freezes' | 'holidays'): Owned[] =>
    calendars.flatMap((one) => one[kind].map((span) => ({ calendar: one.name, span })));
  const windows = of('windows');
  const closing: readonly (readonly [CalendarClosure, readonly Owned[]])[] = [
    ['freeze', of('freezes')],
    ['holiday', of('holidays')],
  ];
  const closures = closing.flatMap(([, spans]) => spans);
  const closedBy = (atMs: number): { reason: CalendarClosure; calendar: string; untilMs: number | null } | null => {
    for (const [reason, spans] of closing) {
      const longest = longestAt(spans, atMs);
      if (longest !== null) return { reason, calendar: longest.calendar, untilMs: longest.toMs };
    }
    if (windows.length === 0 || longestAt(windows, atMs) !== null) return null;
    const next = firstAfter(windows, atMs);
    return { reason: 'window', calendar: (next ?? windows[0]!).calendar, untilMs: next?.fromMs ?? null };
  };
  const nextOpen = (fromMs: number): number | null => {
    let atMs = fromMs;
    for (let change = 0; change < MAX_CHANGES; change += 1) {
      const closed = closedBy(atMs);
      if (closed === null) return atMs;
      if (closed.untilMs === null) return null;
      atMs = closed.untilMs;
    }
    return null;
  };
  const closesAt = (fromMs: number): number | undefined => {
    const closureMs = firstAfter(closures, fromMs)?.fromMs ?? Number.POSITIVE_INFINITY;
    let endMs = windows.length === 0 ? Number.POSITIVE_INFINITY : fromMs;
    for (let change = 0; change < MAX_CHANGES && endMs < Math.min(closureMs, fromMs + FAR_MS); change += 1) {
      const window = longestAt(windows, endMs);
      if (window === null) return endMs;
      endMs = window.toMs;
    }
    const atMs = Math.min(endMs, closureMs);
    return atMs < fromMs + FAR_MS || (atMs === closureMs && Number.isFinite(atMs)) ? atMs : undefined;
  };
  return (atMs) => {
    const closed = closedBy(atMs);
    if (closed !== null) {
      const { reason, calendar, untilMs } = closed;
      return { isOpen: false, reason, calendar, nextOpenMs: untilMs === null ? null : nextOpen(untilMs) };
    }
    const closesAtMs = closesAt(atMs);
    return { isOpen: true, ...(closesAtMs === undefined ? {} : { closesAtMs }) };
  };
}

function longestAt(spans: readonly Owned[], atMs: number): (Stretch & { readonly calendar: string }) | null {
  let longest: (Stretch & { readonly calendar: string }) | null = null;
  for (const { calendar, span } of spans) {
    const found = span.at(atMs);
    if (found !== null && found.toMs > (longest?.toMs ?? Number.NEGATIVE_INFINITY)) longest = { ...found, calendar };
  }
  return longest;
}

function firstAfter(spans: readonly Owned[], atMs: number): (Stretch & { readonly calendar: string }) | null {
  let first: (Stretch & { readonly calendar: string }) | null = null;
  for (const { calendar, span } of spans) {
    const found = span.after(atMs);
    // One that the cutoff leaves nothing of, on a day that a change of clocks made shorter, is none.
    if (found === null || found.toMs <= found.fromMs) continue;
    if (first === null || found.fromMs < first.fromMs) first = { ...found, calendar };
  }
  return first;
}

/** Open where all of the gates are. */
export function bothGates(gates: readonly CalendarGate[]): CalendarGate {
  const [only] = gates;
  if (gates.length === 1 && only !== undefined) return only;
  return (atMs) => {
    const closed = firstClosed(gates, atMs);
    if (closed === null) return openUntil(gates.map((gate) => gate(atMs)));
    let next: number | null = closed.nextOpenMs;
    for (let change = 0; next !== null && change < MAX_CHANGES; change += 1) {
      const again = firstClosed(gates, next);
      if (again === null) return { ...closed, nextOpenMs: next };
      next = again.nextOpenMs;
    }
    return { ...closed, nextOpenMs: null };
  };
}

function firstClosed(gates: readonly CalendarGate[], atMs: number): (GateState & { readonly isOpen: false }) | null {
  for (const gate of gates) {
    const state = gate(atMs);
    if (!state.isOpen) return state;
  }
  return null;
}

function openUntil(states: readonly GateState[]): GateState {
  const closes = states.flatMap((state) => (state.isOpen && state.closesAtMs !== undefined ? [state.closesAtMs] : []));
  return closes.length === 0 ? { isOpen: true } : { isOpen: true, closesAtMs: Math.min(...closes) };
}

/** Open where any of the gates is: a run may start as soon as one of its targets may. No gates: open. */
export function anyGate(gates: readonly CalendarGate[]): CalendarGate {
  return (atMs) => {
    const states = gates.map((gate) => gate(atMs));
    const open = states.filter((state) => state.isOpen);
    if (open.length > 0) {
      if (open.some(({ closesAtMs }) => closesAtMs === undefined)) return { isOpen: true };
      return { isOpen: true, closesAtMs: Math.max(...open.map(({ closesAtMs }) => closesAtMs ?? 0)) };
    }
    const closed = states.filter((state) => !state.isOpen);
    const [first] = [...closed].sort((a, b) => (a.nextOpenMs ?? Infinity) - (b.nextOpenMs ?? Infinity));
    return first ?? { isOpen: true };
  };
}

/** A stretch in which the gate is as it is, for a person who looks ahead. */
export interface GateStretch extends Stretch {
  readonly state: GateState;
}

/** How a gate is in [fromMs, toMs), at most `limit` stretches; what comes after the last one was not looked at. */
export function gateStretches(gate: CalendarGate, fromMs: number, toMs: number, limit: number): GateStretch[] {
  const found: GateStretch[] = [];
  for (let atMs = fromMs; atMs < toMs && found.length < limit;) {
    const state = gate(atMs);
    const untilMs = (state.isOpen ? state.closesAtMs : state.nextOpenMs) ?? toMs;
    found.push({ fromMs: atMs, toMs: Math.min(untilMs, toMs), state });
    atMs = untilMs;
  }
  return found;
}
