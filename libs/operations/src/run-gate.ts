import { alwaysOpen, bothGates, anyGate, type CalendarGate } from '@fettle/calendar';
import { type PlannedCalendar, type Plan, type RunbookSpec } from '@fettle/contracts';
import {
  groupAssets,
  groupSelected,
  readExpectedMs,
  TARGET_CONDITION_FIRST_PARAMETER,
  type Transaction,
} from '@fettle/database';
import { assetColumnMap, compileSelector } from '@fettle/expression';
import { closureOf, coverOf, groupGate, namedGate, openState, readCalendars } from './calendar-book.js';
import { onlyLooks, type GroupGate } from './hold-to-calendars.js';
import { targetSelector } from './select-targets.js';

export interface GateRequest {
  readonly space: string;
  readonly spec: Pick<RunbookSpec, 'targets' | 'calendars' | 'steps' | 'handlers'>;
  /** What narrows its targets. */
  readonly on?: string | undefined;
  /** Calendars that a schedule names, besides the runbook's. */
  readonly calendars?: readonly string[] | undefined;
}

/**
 * The gate of a run that is to come: open while what it names is, and one at least of the targets that it would have now. Read once,
 * it answers for any moment.
 */
export async function gateOfRequest(transaction: Transaction, request: GateRequest): Promise<CalendarGate> {
  const { space, spec, on } = request;
  const calendars = await readCalendars(transaction, space);
  const named = [spec.calendars ?? [], request.calendars ?? []].filter((names) => names.length > 0);
  const covered = onlyLooks(spec) ? null : coverOf(calendars);
  const gates = [namedGate(calendars, named)];
  if (covered !== null && spec.targets !== undefined) {
    const compiled = compileSelector(targetSelector(spec.targets, on), assetColumnMap, {
      firstParameter: TARGET_CONDITION_FIRST_PARAMETER,
    });
    const groups = await groupSelected(transaction, space, compiled.where, covered.cover);
    gates.push(anyGate(groups.map((group) => groupGate(covered.selected, group))));
  }
  return gates.length === 1 ? (gates[0] ?? alwaysOpen) : bothGates(gates);
}

/** Groups of targets that a plan names as closed. */
const MAX_SHOWN = 20;

/** A plan with what its run would meet of calendars now: a fact of the moment, and no part of the digest. */
export async function withCalendars(
  transaction: Transaction,
  plan: Plan,
  spec: Pick<RunbookSpec, 'calendars' | 'steps' | 'handlers'>,
): Promise<Plan> {
  const { space, name } = plan.runbook;
  const calendars = await readCalendars(transaction, space);
  const named = spec.calendars === undefined ? [] : [spec.calendars];
  const covered = onlyLooks(spec) ? null : coverOf(calendars);
  const ids = plan.targets.items.map(({ assetId }) => assetId);
  const found = covered === null || ids.length === 0 ? [] : await groupAssets(transaction, ids, covered.cover);
  const groups = found
    .filter(({ held }) => held.includes(true))
    .map((group): GroupGate => ({ ...group, gate: groupGate(covered?.selected ?? [], group) }));
  if (named.length === 0 && groups.length === 0) return plan;
  const nowMs = Date.now();
  const isFree = found.some(({ held }) => !held.includes(true));
  const targets = isFree ? alwaysOpen : anyGate(groups.map(({ gate }) => gate));
  const state = openState(bothGates([namedGate(calendars, named), targets])(nowMs, { closes: true }));
  const expectedMs = await readExpectedMs(transaction, space, name);
  const closes = state.closesAt === undefined || state.isCut === true ? Infinity : Date.parse(state.closesAt);
  const calendar: PlannedCalendar = {
    state,
    expectedMs,
    closesBeforeEnd: expectedMs !== null && closes < nowMs + expectedMs,
    closed: closedGroups(groups, nowMs),
  };
  return { ...plan, calendar };
}

function closedGroups(groups: readonly GroupGate[], nowMs: number): PlannedCalendar['closed'] {
  return groups
    .flatMap(({ gate, count, example }) => {
      const state = gate(nowMs);
      return state.isOpen ? [] : [{ ...closureOf(state), targets: count, example }];
    })
    .slice(0, MAX_SHOWN);
}
