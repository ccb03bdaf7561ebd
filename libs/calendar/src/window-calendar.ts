import type { CalendarSpec } from '@fettle/contracts';
import {
  GateBudget,
  MAX_GATE_COST,
  type CalendarClosure,
  type CalendarGate,
  type GateQuestion,
  type GateState,
} from './calendar-gate.js';
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

/** Changes between open and closed that one question looks through at most, however little they cost. */
const MAX_CHANGES = 3000;
/** What stays open for so long is not asked when it closes. */
const FAR_MS = 400 * DAY_MS;

interface Owned {
  readonly calendar: string;
  readonly span: Span;
}

/** Spans that are looked at together. */
interface OwnedSpans {
  readonly spans: readonly Owned[];
  readonly cost: number;
}

const together = (spans: readonly Owned[]): OwnedSpans => ({
  spans,
  cost: spans.reduce((sum, { span }) => sum + span.cost, 0),
});

/**
 * The gate of all of these calendars together: open in any of their windows (always, where none has one), but in no freeze and on no
 * holiday of any.
 */
export function gateOf(calendars: readonly ReadCalendar[]): CalendarGate {
  const of = (kind: 'windows' | 'freezes' | 'holidays'): OwnedSpans =>
    together(calendars.flatMap((one) => one[kind].map((span) => ({ calendar: one.name, span }))));
  const windows = of('windows');
  const closing: readonly (readonly [CalendarClosure, OwnedSpans])[] = [
    ['freeze', of('freezes')],
    ['holiday', of('holidays')],
  ];
  const closures = together(closing.flatMap(([, { spans }]) => spans));
  const closedBy = (atMs: number, budget: GateBudget): ClosedUntil | null => {
    for (const [reason, spans] of closing) {
      const longest = longestAt(spans, atMs, budget);
      if (longest !== null) return { reason, calendar: longest.calendar, untilMs: longest.toMs };
    }
    const [firstWindow] = windows.spans;
    if (firstWindow === undefined || longestAt(windows, atMs, budget) !== null) return null;
    const next = firstAfter(windows, atMs, budget);
    return { reason: 'window', calendar: (next ?? firstWindow).calendar, untilMs: next?.fromMs ?? null };
  };
  const nextOpen = (fromMs: number, budget: GateBudget): number | null => {
    let atMs = fromMs;
    for (let change = 0; change < MAX_CHANGES && !budget.isSpent; change += 1) {
      const closed = closedBy(atMs, budget);
      if (closed === null) return atMs;
      if (closed.untilMs === null) return null;
      atMs = closed.untilMs;
    }
    return null;
  };
  return (atMs, { closes = false, budget = new GateBudget() } = {}) => {
    const closed = closedBy(atMs, budget);
    if (closed === null) return closes ? openUntilClosed(windows, closures, atMs, budget) : { isOpen: true };
    const { reason, calendar, untilMs } = closed;
    return { isOpen: false, reason, calendar, nextOpenMs: untilMs === null ? null : nextOpen(untilMs, budget) };
  };
}

interface ClosedUntil {
  readonly reason: CalendarClosure;
  readonly calendar: string;
  readonly untilMs: number | null;
}

/** When an open gate closes: windows that overlap are followed one by one, as far as the budget goes. */
function openUntilClosed(windows: OwnedSpans, closures: OwnedSpans, fromMs: number, budget: GateBudget): GateState {
  const closureMs = firstAfter(closures, fromMs, budget)?.fromMs ?? Number.POSITIVE_INFINITY;
  const farMs = fromMs + FAR_MS;
  let endMs = windows.spans.length === 0 ? Number.POSITIVE_INFINITY : fromMs;
  for (let change = 0; endMs < Math.min(closureMs, farMs); change += 1) {
    if (change > 0 && (change >= MAX_CHANGES || budget.isSpent))
      return { isOpen: true, closesAtMs: endMs, isCut: true };
    const window = longestAt(windows, endMs, budget);
    if (window === null) return { isOpen: true, closesAtMs: endMs };
    endMs = window.toMs;
  }
  const atMs = Math.min(endMs, closureMs);
  const isKnown = atMs < farMs || (atMs === closureMs && Number.isFinite(atMs));
  return isKnown ? { isOpen: true, closesAtMs: atMs } : { isOpen: true };
}

type OwnedStretch = Stretch & { readonly calendar: string };

function longestAt({ spans, cost }: OwnedSpans, atMs: number, budget: GateBudget): OwnedStretch | null {
  budget.spend(cost);
  let longest: OwnedStretch | null = null;
  for (const { calendar, span } of spans) {
    const found = span.at(atMs);
    if (found !== null && found.toMs > (longest?.toMs ?? Number.NEGATIVE_INFINITY)) longest = { ...found, calendar };
  }
  return longest;
}

function firstAfter({ spans, cost }: OwnedSpans, atMs: number, budget: GateBudget): OwnedStretch | null {
  budget.spend(cost);
  let first: OwnedStretch | null = null;
  for (const { calendar, span } of spans) {
    const found = span.after(atMs);
    if (found !== null && (first === null || found.fromMs < first.fromMs)) first = { ...found, calendar };
  }
  return first;
}

/** Open where all of the gates are. */
export function bothGates(gates: readonly CalendarGate[]): CalendarGate {
  const [only] = gates;
  if (gates.length === 1 && only !== undefined) return only;
  return (atMs, { closes = false, budget = new GateBudget() } = {}) => {
    const question = { closes, budget };
    const closed = firstClosed(gates, atMs, { budget });
    if (closed === null) return closes ? openUntil(gates.map((gate) => gate(atMs, question))) : { isOpen: true };
    let next: number | null = closed.nextOpenMs;
    for (let change = 0; next !== null && change < MAX_CHANGES; change += 1) {
      const again = firstClosed(gates, next, { budget });
      if (again === null) return { ...closed, nextOpenMs: next };
      if (budget.isSpent) break;
      next = again.nextOpenMs;
    }
    return { ...closed, nextOpenMs: null };
  };
}

function firstClosed(
  gates: readonly CalendarGate[],
  atMs: number,
  question: GateQuestion,
): (GateState & { readonly isOpen: false }) | null {
  for (const gate of gates) {
    const state = gate(atMs, question);
    if (!state.isOpen) return state;
  }
  return null;
}

/** The first to close. */
function openUntil(states: readonly GateState[]): GateState {
  const [first] = states
    .filter((state) => state.isOpen && state.closesAtMs !== undefined)
    .sort((a, b) => closingMs(a) - closingMs(b));
  return first ?? { isOpen: true };
}

function closingMs(state: GateState): number {
  return state.isOpen ? (state.closesAtMs ?? Number.POSITIVE_INFINITY) : 0;
}

/** Open where any of the gates is: a run may start as soon as one of its targets may. No gates: open. */
export function anyGate(gates: readonly CalendarGate[]): CalendarGate {
  return (atMs, { closes = false, budget = new GateBudget() } = {}) => {
    let last: GateState | null = null;
    let first: (GateState & { readonly isOpen: false }) | null = null;
    for (const gate of gates) {
      const state = gate(atMs, { closes, budget });
      if (!state.isOpen) {
        if (first === null || (state.nextOpenMs ?? Infinity) < (first.nextOpenMs ?? Infinity)) first = state;
        continue;
      }
      if (!closes || state.closesAtMs === undefined) return { isOpen: true };
      if (last === null || closingMs(state) > closingMs(last)) last = state;
    }
    return last ?? first ?? { isOpen: true };
  };
}

/** A stretch in which the gate is as it is, for a person who looks ahead. */
export interface GateStretch extends Stretch {
  readonly state: GateState;
}

/** What a whole list of stretches may cost. */
const STRETCHES_COST = 10 * MAX_GATE_COST;

/** How a gate is in [fromMs, toMs), at most `limit` stretches; what comes after the last one was not looked at. */
export function gateStretches(gate: CalendarGate, fromMs: number, toMs: number, limit: number): GateStretch[] {
  const found: GateStretch[] = [];
  const budget = new GateBudget(STRETCHES_COST);
  for (let atMs = fromMs; atMs < toMs && found.length < limit && !budget.isSpent;) {
    const state = gate(atMs, { closes: true, budget });
    const untilMs = (state.isOpen ? state.closesAtMs : state.nextOpenMs) ?? toMs;
    // Not known to stay closed for so long: it was too costly to find out.
    if (budget.isSpent && !state.isOpen && state.nextOpenMs === null) break;
    found.push({ fromMs: atMs, toMs: Math.min(untilMs, toMs), state });
    atMs = untilMs;
  }
  return found;
}
