import {
  calendarDocumentSchema,
  FettleError,
  type CalendarSpec,
  type ClosedBy,
  type OpenState,
} from '@fettle/contracts';
import {
  alwaysOpen,
  bothGates,
  gateOf,
  readCalendar,
  type CalendarGate,
  type GateState,
  type ReadCalendar,
} from '@fettle/calendar';
import {
  listCalendarVersions,
  readParsedVersions,
  type CalendarCover,
  type CoverGroup,
  type StoredClosure,
  type Transaction,
} from '@fettle/database';
import { assetColumnMap, compileSelector, parseSelector, type Selector } from '@fettle/expression';

/** A calendar as it is applied now. */
export interface HeldCalendar {
  readonly name: string;
  /** Null: it could not be read, and is closed until it can be. */
  readonly spec: CalendarSpec | null;
  /** Null: it holds only where it is named. */
  readonly selector: Selector | null;
  /** By the clock of a site; null: by its own. */
  readonly read: (site: string | null) => ReadCalendar;
  /** Why it cannot be read, so that it is closed; null: it can. */
  readonly problem: string | null;
}

/** Parsed calendars that a process remembers by their version, which never changes. */
const MAX_PARSED = 500;
/** Sites of one calendar that are remembered. */
const MAX_SITES = 100;

/** Remembers calendars that were read: only a cache, on which no answer depends. */
export class CalendarBook {
  readonly #parsed = new Map<string, HeldCalendar>();

  constructor(private readonly maxParsed = MAX_PARSED) {}

  /** All calendars of a space as they are now: a version that was read before is not read again. */
  async read(transaction: Transaction, space: string): Promise<readonly HeldCalendar[]> {
    const versions = await listCalendarVersions(transaction, space);
    // What is known now is kept here: others read, and have what is remembered forgotten, while this one waits.
    const found = new Map<string, HeldCalendar>();
    for (const { versionId } of versions) {
      const known = this.#parsed.get(versionId);
      if (known !== undefined) found.set(versionId, known);
    }
    const unknown = versions.filter(({ versionId }) => !found.has(versionId));
    if (unknown.length > 0) {
      const ids = unknown.map(({ versionId }) => versionId);
      const documents = await readParsedVersions(transaction, ids);
      for (const { versionId, name } of unknown) {
        const held = heldCalendar(name, documents.get(versionId));
        found.set(versionId, held);
        // One whose document was not there is closed for now, and asked for again.
        if (documents.has(versionId)) this.#remember(versionId, held);
      }
    }
    return versions.flatMap(({ versionId }) => found.get(versionId) ?? []);
  }

  #remember(versionId: string, held: HeldCalendar): void {
    if (held.problem !== null) process.emitWarning(`The calendar "${held.name}" ${held.problem}; it is closed.`);
    for (const oldest of this.#parsed.keys()) {
      if (this.#parsed.size < this.maxParsed) break;
      this.#parsed.delete(oldest);
    }
    this.#parsed.set(versionId, held);
  }
}

const book = new CalendarBook();

/** All calendars of a space as they are now. */
export function readCalendars(transaction: Transaction, space: string): Promise<readonly HeldCalendar[]> {
  return book.read(transaction, space);
}

/** One that cannot be read (it was written by another version of Fettle) is closed where it is named, and for all that it selects. */
export function heldCalendar(name: string, document: unknown): HeldCalendar {
  const result = calendarDocumentSchema.safeParse(document);
  const closed = closedFor(name);
  if (!result.success) {
    const selector = selectorOfUnreadable(document);
    return { name, spec: null, selector, read: () => closed, problem: 'cannot be read by this version' };
  }
  const { spec } = result.data;
  let selector: Selector | null = null;
  try {
    selector = spec.assets === undefined ? null : parseSelector(spec.assets, { origin: 'spec.assets' });
    const sites = new Map<string, ReadCalendar>();
    const read = (site: string | null): ReadCalendar => {
      const key = site !== null && Object.hasOwn(spec.siteTimeZones ?? {}, site) ? site : '';
      const known = sites.get(key);
      if (known !== undefined) return known;
      if (sites.size >= MAX_SITES) sites.clear();
      const calendar = readCalendar(name, spec, key === '' ? null : key);
      sites.set(key, calendar);
      return calendar;
    };
    // Whatever is wrong for one of its sites is found here, and not in the middle of a claim.
    for (const site of [null, ...Object.keys(spec.siteTimeZones ?? {}).slice(0, MAX_SITES)]) read(site);
    return { name, spec, selector, read, problem: null };
  } catch (error) {
    if (!(error instanceof FettleError)) throw error;
    const problem = `cannot be read: ${error.message}`;
    return { name, spec, selector: selector ?? selectorOfUnreadable(document), read: () => closed, problem };
  }
}

/** For what a calendar was meant that cannot be read: all assets, where it has a selector that cannot be read either. */
function selectorOfUnreadable(document: unknown): Selector | null {
  const spec = isRecord(document) ? document.spec : undefined;
  const assets = isRecord(spec) ? spec.assets : undefined;
  if (assets === undefined) return null;
  try {
    return parseSelector(typeof assets === 'string' ? assets : '', { origin: 'spec.assets' });
  } catch (error) {
    if (error instanceof FettleError) return parseSelector('true');
    throw error;
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function closedFor(name: string): ReadCalendar {
  const always = { name: 'unreadable', cost: 1, at: () => ({ fromMs: 0, toMs: 8.64e15 }), after: () => null };
  return { name, timeZone: 'UTC', windows: [], freezes: [always], holidays: [] };
}

/** The calendars among them that hold by selector, as the database asks for them; null: none does. */
export function coverOf(
  calendars: readonly HeldCalendar[],
): { readonly cover: CalendarCover; readonly selected: readonly HeldCalendar[] } | null {
  const selected = calendars.filter(({ selector }) => selector !== null);
  if (selected.length === 0) return null;
  const conditions = (firstParameter: number) => {
    const [sql, parameters]: [string[], unknown[]] = [[], []];
    for (const { selector } of selected) {
      if (selector === null) continue;
      const options = { firstParameter: firstParameter + parameters.length };
      const { where } = compileSelector(selector, assetColumnMap, options);
      sql.push(where.sql);
      parameters.push(...where.parameters);
    }
    return { sql, parameters };
  };
  const sites = [...new Set(selected.flatMap(({ spec }) => Object.keys(spec?.siteTimeZones ?? {})))];
  return { cover: { conditions, sites }, selected };
}

/** The gate of assets for which these of the calendars hold: open in any of their windows, but in no freeze of any. */
export function groupGate(
  selected: readonly HeldCalendar[],
  { site, held }: Pick<CoverGroup, 'site' | 'held'>,
): CalendarGate {
  const own = selected.filter((_, index) => held[index] === true);
  return own.length === 0 ? alwaysOpen : gateOf(own.map((one) => one.read(site)));
}

/** The gate of calendars by name: each group is one gate, and all have to be open. One that is not there is closed. */
export function namedGate(calendars: readonly HeldCalendar[], named: readonly (readonly string[])[]): CalendarGate {
  const gates = named
    .filter((names) => names.length > 0)
    .map((names) =>
      gateOf(names.map((name) => calendars.find((one) => one.name === name)?.read(null) ?? closedFor(name))),
    );
  return gates.length === 0 ? alwaysOpen : bothGates(gates);
}

/** What a closed gate says, as it is stored and shown. */
export function closureOf(state: GateState & { readonly isOpen: false }): StoredClosure & ClosedBy {
  const { calendar, reason, nextOpenMs } = state;
  return { calendar, reason, nextOpenAt: nextOpenMs === null ? null : new Date(nextOpenMs).toISOString() };
}

export function openState(state: GateState): OpenState {
  if (!state.isOpen) return { isOpen: false, closedBy: closureOf(state) };
  return {
    isOpen: true,
    ...(state.closesAtMs === undefined ? {} : { closesAt: new Date(state.closesAtMs).toISOString() }),
    ...(state.isCut === true ? { isCut: true } : {}),
  };
}

/** What waits for a calendar looks again after so long: labels of its asset may have changed, which nobody tells. */
const LOOK_AGAIN_MS = 3_600_000;

/** When a target that waits looks again at the latest. */
export function lookAgainAt({ nextOpenAt }: StoredClosure, nowMs: number): string {
  const latestMs = nowMs + LOOK_AGAIN_MS;
  return new Date(nextOpenAt === null ? latestMs : Math.min(Date.parse(nextOpenAt), latestMs)).toISOString();
}
