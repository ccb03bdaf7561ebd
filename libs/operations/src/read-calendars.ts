import {
  GateBudget,
  gateOf,
  gateStretches,
  type CalendarGate,
  type GateStretch,
  type ReadCalendar,
  type Span,
  type Stretch,
} from '@fettle/calendar';
import {
  FettleError,
  MAX_STRETCHES,
  notFoundError,
  type CalendarDetail,
  type CalendarQuery,
  type CalendarStatus,
  type CalendarStatusQuery,
  type RunCalendar,
} from '@fettle/contracts';
import {
  countUndetermined,
  groupSelected,
  readAssetCover,
  readRunCalendarRow,
  TARGET_CONDITION_FIRST_PARAMETER,
  type Transaction,
} from '@fettle/database';
import { assetColumnMap, compileSelector } from '@fettle/expression';
import type { OperationContext } from './context.js';
import { requireAsset } from './read-assets.js';
import { coverOf, groupGate, openState, readCalendars, type HeldCalendar } from './calendar-book.js';

const DAY_MS = 86_400_000;
const DEFAULT_DAYS = 31;
const MAX_DAYS = 3700;

/**
 * A calendar with its stretches between two moments, by the clock of a site where one is named.
 * @throws FettleError `not-found`, `invalid-time`, `invalid-request`
 */
export async function showCalendar(
  transaction: Transaction,
  name: string,
  query: CalendarQuery,
): Promise<CalendarDetail> {
  const { space } = query;
  const found = (await readCalendars(transaction, space)).find((one) => one.name === name);
  if (found === undefined) {
    throw notFoundError('Calendar', name, { space, remedy: 'See `fettle document list --kind Calendar`.' });
  }
  const calendar = found.read(query.site ?? null);
  const gate = gateOf([calendar]);
  const nowMs = Date.now();
  const fromMs = query.from === undefined ? nowMs : momentOf(query.from);
  const toMs = query.to === undefined ? fromMs + DEFAULT_DAYS * DAY_MS : momentOf(query.to);
  if (toMs <= fromMs || toMs - fromMs > MAX_DAYS * DAY_MS) {
    throw new FettleError({
      code: 'invalid-request',
      message: `"to" must come after "from", at most ${MAX_DAYS} days later.`,
    });
  }
  const stretches = gateStretches(gate, fromMs, toMs, MAX_STRETCHES + 1);
  const { closures, isCut: lacksClosures } = closuresBetween(calendar, fromMs, toMs);
  const assets = await countAssets(transaction, space, found);
  return {
    space,
    name,
    timeZone: calendar.timeZone,
    description: found.spec?.description ?? null,
    assets: found.spec?.assets ?? null,
    ...assets,
    windows: calendar.windows.length,
    freezes: calendar.freezes.length,
    holidays: calendar.holidays.length,
    now: openState(gate(nowMs, { closes: true })),
    from: new Date(fromMs).toISOString(),
    to: new Date(toMs).toISOString(),
    stretches: stretches.slice(0, MAX_STRETCHES).map((one) => stretchView(one, calendar)),
    closures: closures.slice(0, MAX_STRETCHES).map((one) => closureView(one, calendar)),
    isCut: stretches.length > MAX_STRETCHES || lacksClosures || (stretches.at(-1)?.toMs ?? 0) < toMs,
  };
}

function stretchView(
  { fromMs, toMs, state }: GateStretch,
  calendar: ReadCalendar,
): CalendarDetail['stretches'][number] {
  const reason = state.isOpen ? null : state.reason;
  const spans = state.isOpen
    ? calendar.windows
    : { window: [], freeze: calendar.freezes, holiday: calendar.holidays }[state.reason];
  return {
    from: new Date(fromMs).toISOString(),
    to: new Date(toMs).toISOString(),
    fromLocal: localText(fromMs, calendar.timeZone),
    toLocal: localText(toMs, calendar.timeZone),
    isOpen: state.isOpen,
    reason,
    name: spans.find((span) => span.name !== '' && span.at(fromMs) !== null)?.name ?? '',
  };
}

interface Closure extends Stretch {
  readonly reason: 'freeze' | 'holiday';
  readonly name: string;
}

/** Freezes and holidays in the order of their begin, as many as are shown; `isCut`: there are more, or it was too costly to look for all. */
function closuresBetween(
  { freezes, holidays }: ReadCalendar,
  fromMs: number,
  toMs: number,
): { readonly closures: readonly Closure[]; readonly isCut: boolean } {
  const found: Closure[] = [];
  const budget = new GateBudget();
  const look = ({ cost }: Span, next: Stretch | null): Stretch | null => {
    budget.spend(cost);
    return next;
  };
  // Fixed ones cost next to nothing: of an imported list none is missing because of rules beside it, be they freezes or holidays.
  const closing = [
    ...freezes.map((span) => ({ reason: 'freeze' as const, span })),
    ...holidays.map((span) => ({ reason: 'holiday' as const, span })),
  ].sort((one, two) => one.span.cost - two.span.cost);
  for (const { reason, span } of closing) {
    if (budget.isSpent) break;
    let next = look(span, span.at(fromMs)) ?? look(span, span.after(fromMs));
    for (let count = 0; next !== null && next.fromMs < toMs && count <= MAX_STRETCHES; count += 1) {
      found.push({ ...next, reason, name: span.name });
      if (budget.isSpent) break;
      next = look(span, span.after(next.fromMs));
    }
  }
  const isCut = budget.isSpent || found.length > MAX_STRETCHES;
  return { closures: found.sort((a, b) => a.fromMs - b.fromMs), isCut };
}

function closureView({ fromMs, toMs, reason, name }: Closure, { timeZone }: ReadCalendar) {
  return {
    from: new Date(fromMs).toISOString(),
    to: new Date(toMs).toISOString(),
    fromLocal: localText(fromMs, timeZone),
    toLocal: localText(toMs, timeZone),
    reason,
    name,
  };
}

async function countAssets(
  transaction: Transaction,
  space: string,
  { selector }: HeldCalendar,
): Promise<Pick<CalendarDetail, 'assetCount' | 'undeterminedCount'>> {
  if (selector === null) return { assetCount: 0, undeterminedCount: 0 };
  const compiled = compileSelector(selector, assetColumnMap, { firstParameter: TARGET_CONDITION_FIRST_PARAMETER });
  const none = { conditions: () => ({ sql: [], parameters: [] }), sites: [] };
  const groups = await groupSelected(transaction, space, compiled.where, none);
  return {
    assetCount: groups.reduce((sum, { count }) => sum + count, 0),
    undeterminedCount: await countUndetermined(transaction, space, compiled),
  };
}

/**
 * Whether work may begin at a moment: for an asset, by all calendars that hold for it; without one, by each calendar of the space.
 * @throws FettleError `not-found`, `invalid-time`
 */
export async function calendarStatus(context: OperationContext, query: CalendarStatusQuery): Promise<CalendarStatus> {
  const { transaction } = context;
  const { space, asset } = query;
  const atMs = query.at === undefined ? Date.now() : momentOf(query.at);
  const calendars = await readCalendars(transaction, space);
  const view = (held: HeldCalendar, site: string | null): CalendarStatus['calendars'][number] => {
    const calendar = held.read(site);
    return {
      name: held.name,
      timeZone: calendar.timeZone,
      selector: held.spec?.assets ?? null,
      state: openState(gateOf([calendar])(atMs, { closes: true })),
    };
  };
  const at = new Date(atMs).toISOString();
  if (asset === undefined) return { at, asset: null, state: null, calendars: calendars.map((one) => view(one, null)) };
  const { id } = await requireAsset(context, 'asset:read', { space, name: asset });
  const covered = coverOf(calendars);
  const group = covered === null ? undefined : (await readAssetCover(transaction, [id], covered.cover)).get(id);
  if (covered === null || group === undefined) return { at, asset, state: { isOpen: true }, calendars: [] };
  const gate: CalendarGate = groupGate(covered.selected, group);
  return {
    at,
    asset,
    state: openState(gate(atMs, { closes: true })),
    calendars: covered.selected.filter((_, index) => group.held[index] === true).map((one) => view(one, group.site)),
  };
}

/** How a run stands to calendars; null: there is nothing to tell. */
export async function readRunCalendarView(transaction: Transaction, runId: string): Promise<RunCalendar | null> {
  const row = await readRunCalendarRow(transaction, runId);
  if (row === null) return null;
  const { calendar, closedSince, waiting } = row;
  const named = calendar?.named ?? [];
  const override = calendar?.override ?? null;
  if (named.length === 0 && override === null && closedSince === null && waiting === 0) return null;
  return {
    named: named.map((names) => [...names]),
    onClose: calendar?.onClose ?? 'finish',
    override,
    closedSince: closedSince?.toISOString() ?? null,
    waiting,
  };
}

/** UTC where it has no offset. @throws FettleError `invalid-time` */
function momentOf(text: string): number {
  const hasOffset = /(Z|[+-]\d{2}:?\d{2})$/i.test(text);
  const ms = Date.parse(hasOffset || text.length === 10 ? text : `${text}Z`);
  if (!Number.isNaN(ms)) return ms;
  throw new FettleError({
    code: 'invalid-time',
    message: `"${text.slice(0, 60)}" is no time`,
    remedy: 'Write it as 2026-12-24T18:00:00Z, with an offset such as +01:00, or without one for UTC.',
  });
}

function localText(atMs: number, timeZone: string): string {
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'short' });
  return `${format.format(atMs)} ${timeZone}`;
}
