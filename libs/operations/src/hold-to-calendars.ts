import { actionContracts } from '@fettle/activities/contracts';
import { anyGate, bothGates, type CalendarGate } from '@fettle/calendar';
import { FettleError, isActionStep, walkSteps, type OnClose, type RunbookSpec, type Step } from '@fettle/contracts';
import {
  appendEntries,
  closeNewTargets,
  groupTargets,
  lockRun,
  readRunCalendar,
  saveLockedRun,
  saveRunCalendar,
  type CoverGroup,
  type StoredClosure,
  type StoredRunCalendar,
  type Transaction,
} from '@fettle/database';
import {
  closureOf,
  coverOf,
  groupGate,
  lookAgainAt,
  namedGate,
  readCalendars,
  type HeldCalendar,
} from './calendar-book.js';
import type { OperationContext } from './context.js';
import { recordAudit } from './record-audit.js';
import { requireRunInScope } from './select-targets.js';

/** How somebody who starts a run goes by its calendars. */
export interface CalendarChoice {
  /** Outside of them: it is refused (the default), or waits for the next opening. */
  readonly whenClosed?: 'refuse' | 'wait' | undefined;
  /** Why it goes on outside of them all the same; needs the right to it. */
  readonly overrideCalendar?: string | undefined;
}

/** What else decides by which calendars a new run goes. */
export interface CalendarSubject extends CalendarChoice {
  readonly id: string;
  readonly space: string;
  readonly spec: RunbookSpec;
  readonly targetCount: number;
  /** What a schedule adds. */
  readonly schedule?:
    { readonly calendars?: readonly string[] | undefined; readonly onClose?: OnClose | undefined } | undefined;
  /** The run that it continues, or that calls it: its schedule's calendars and its override hold on. */
  readonly from?: { readonly runId: string; readonly isCaller: boolean } | undefined;
}

/** What was found, for the audit record. */
export interface HeldRun {
  readonly override: string | null;
  readonly closed: StoredClosure | null;
  /** Targets that wait, although others begin. */
  readonly waiting: number;
}

/**
 * Holds a new run, whose targets are written, to its calendars: those of its assets, and those that its runbook and its schedule name.
 * Refused where nothing of it could begin now; targets that could not are put off where others can.
 * @throws FettleError `calendar-closed`; `denied` for an override without the right to it
 */
export async function holdToCalendars(context: OperationContext, subject: CalendarSubject): Promise<HeldRun | null> {
  const { transaction } = context;
  const { id, space } = subject;
  const stored = await storedCalendar(context, subject);
  const { named } = stored;
  const calendars = await readCalendars(transaction, space);
  if (calendars.length === 0 && named.length === 0 && stored.override === null && stored.onClose === 'finish')
    return null;
  if (stored.override !== null) {
    await saveRunCalendar(transaction, id, stored, null);
    await tellOverridden(context, id, stored.override);
    return { override: stored.override.reason, closed: null, waiting: 0 };
  }
  const nowMs = Date.now();
  const groups = stored.onlyLooks ? [] : await gatesOfTargets(transaction, id, calendars);
  const state = runGate(calendars, named, groups)(nowMs);
  if (!state.isOpen) {
    const closed = closureOf(state);
    const mayWait = subject.whenClosed === 'wait' && closed.nextOpenAt !== null;
    if (!mayWait) throw closedError(closed, subject);
    await saveRunCalendar(transaction, id, stored, closed.nextOpenAt);
    return { override: null, closed, waiting: subject.targetCount };
  }
  await saveRunCalendar(transaction, id, stored, null);
  return { override: null, closed: null, waiting: await putOff(transaction, id, calendars, groups, nowMs) };
}

/** What `acceptRun` knows of a new run. */
interface NewRun {
  readonly space: string;
  readonly runbook: string;
  readonly spec: RunbookSpec;
  readonly calendar?: CalendarChoice | undefined;
  readonly continued?: { readonly runId: string } | undefined;
  readonly options: {
    readonly parent?: { readonly runId: string } | undefined;
    readonly schedule?: CalendarSubject['schedule'];
  };
}

/** As `holdToCalendars`, for every way to start a run; an override is a record of its own. */
export async function holdNewRun(
  context: OperationContext,
  { space, runbook, spec, calendar, continued, options }: NewRun,
  run: { readonly id: string; readonly targetCount: number },
): Promise<HeldRun | null> {
  const { parent, schedule } = options;
  const before = continued === undefined ? undefined : { runId: continued.runId, isCaller: false };
  const from = parent === undefined ? before : { runId: parent.runId, isCaller: true };
  // A step that calls waits for the called run in any case.
  const choice = parent === undefined ? calendar : { whenClosed: 'wait' as const };
  const held = await holdToCalendars(context, { ...choice, ...run, space, spec, schedule, from });
  if (held !== null && held.override !== null && calendar?.overrideCalendar !== undefined) {
    await recordAudit(context, {
      action: 'calendar.override',
      space,
      object: { kind: 'run', name: run.id, id: run.id },
      detail: { runbook, reason: held.override },
    });
  }
  return held;
}

export interface GroupGate extends CoverGroup {
  readonly gate: CalendarGate;
}

/** The gates of a run's open targets; empty: no calendar holds by selector, or it has no targets. */
export async function gatesOfTargets(
  transaction: Transaction,
  runId: string,
  calendars: readonly HeldCalendar[],
): Promise<readonly GroupGate[]> {
  const covered = coverOf(calendars);
  if (covered === null) return [];
  const groups = await groupTargets(transaction, runId, covered.cover);
  return groups.map((group) => ({ ...group, gate: groupGate(covered.selected, group) }));
}

/** The gate of a whole run: what it names, and one at least of its targets. */
export function runGate(
  calendars: readonly HeldCalendar[],
  named: readonly (readonly string[])[],
  groups: readonly GroupGate[],
): CalendarGate {
  return bothGates([namedGate(calendars, named), anyGate(groups.map(({ gate }) => gate))]);
}

/** Targets that cannot begin while others can; the first entry about each group says how many. */
async function putOff(
  transaction: Transaction,
  id: string,
  calendars: readonly HeldCalendar[],
  groups: readonly GroupGate[],
  nowMs: number,
): Promise<number> {
  const covered = coverOf(calendars);
  if (covered === null) return 0;
  let waiting = 0;
  const told: StoredClosure[] = [];
  for (const group of groups) {
    const state = group.gate(nowMs);
    if (state.isOpen) continue;
    const closed = closureOf(state);
    await closeNewTargets(transaction, id, group, covered.cover, {
      ...closed,
      lookAgainAt: lookAgainAt(closed, nowMs),
    });
    waiting += group.count;
    told.push({ ...closed, ...{ targets: group.count, example: group.example } });
  }
  if (told.length === 0) return 0;
  const run = await lockRun(transaction, id);
  await appendEntries(
    transaction,
    run,
    told.slice(0, 100).map((data) => ({ kind: 'targets-closed', data: { ...data } })),
  );
  await saveLockedRun(transaction, run);
  return waiting;
}

/** Whoever reads the run, or the audit log, sees that it went on outside of its calendars, and why. */
async function tellOverridden(
  context: OperationContext,
  id: string,
  override: NonNullable<StoredRunCalendar['override']>,
): Promise<void> {
  const run = await lockRun(context.transaction, id);
  await appendEntries(context.transaction, run, [{ kind: 'calendar-overridden', data: { ...override } }]);
  await saveLockedRun(context.transaction, run);
}

async function storedCalendar(context: OperationContext, subject: CalendarSubject): Promise<StoredRunCalendar> {
  const { transaction, actor } = context;
  const { spec, schedule, from, overrideCalendar } = subject;
  const before = from === undefined ? null : await readRunCalendar(transaction, from.runId);
  const own = spec.calendars ?? [];
  const named = [own, schedule?.calendars ?? [], ...(before?.named.slice(0) ?? [])].filter((names) => names.length > 0);
  const distinct = [...new Map(named.map((names) => [names.join('\n'), [...names]])).values()];
  let override = from?.isCaller === true ? (before?.override ?? null) : null;
  if (override !== null && !(await mayOverride(context, subject))) override = null;
  const scheduleOnClose = schedule?.onClose ?? before?.scheduleOnClose;
  if (overrideCalendar !== undefined) {
    await requireRunInScope(context, 'calendar:override', { ...subject });
    override = { by: actor.name, reason: overrideCalendar, at: new Date().toISOString() };
  }
  return {
    named: distinct,
    onClose: scheduleOnClose ?? spec.onClose ?? 'finish',
    override,
    onlyLooks: onlyLooks(spec),
    scheduleOnClose,
  };
}

/** Whoever may let a run go on may not let all go on that it calls: that waits, where its targets are others. */
async function mayOverride(context: OperationContext, subject: CalendarSubject): Promise<boolean> {
  try {
    await requireRunInScope(context, 'calendar:override', { ...subject });
    return true;
  } catch (error) {
    if (error instanceof FettleError && error.code === 'denied') return false;
    throw error;
  }
}

/** No step of it changes anything, as far as the document says: then the calendars of its assets, which are for changes, do not hold it. */
export function onlyLooks({ steps, handlers = {} }: Pick<RunbookSpec, 'steps' | 'handlers'>): boolean {
  return [steps, ...Object.values(handlers)].every((list) => [...walkSteps(list)].every(looks));
}

function looks(step: Step): boolean {
  // What a called run does is held to calendars by itself, and so is what it changes.
  if (!isActionStep(step)) return true;
  if (!Object.hasOwn(actionContracts, step.uses)) return false;
  if (step.with.effect !== undefined) return step.with.effect === 'read-only';
  const action = actionContracts[step.uses as keyof typeof actionContracts];
  const parsed = action.input.safeParse(step.with);
  return parsed.success && (action.effect as (input: unknown) => string)(parsed.data) === 'read-only';
}

function closedError(closed: StoredClosure, { whenClosed }: CalendarChoice): FettleError {
  const { calendar, reason, nextOpenAt } = closed;
  const why = { window: 'outside of its windows', freeze: 'in a freeze', holiday: 'on a holiday' }[reason];
  const next = nextOpenAt === null ? 'no next opening is known' : `it opens at ${nextOpenAt}`;
  const wait = nextOpenAt === null || whenClosed === 'wait' ? '' : 'Let it wait with --wait-for-window, or go';
  return new FettleError({
    code: 'calendar-closed',
    message: `The calendar "${calendar}" is closed (${why}); ${next}.`,
    remedy: `${wait === '' ? 'Go' : wait} on all the same, with the right to it: --override-calendar REASON.`,
    detail: { ...closed },
  });
}
