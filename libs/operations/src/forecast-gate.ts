import type { CalendarGate } from '@fettle/calendar';
import type { RunbookSpec } from '@fettle/contracts';
import { groupAssets, type StoredSchedule } from '@fettle/database';
import { coverOf, groupGate, readCalendars, type HeldCalendar } from './calendar-book.js';
import type { OperationContext } from './context.js';
import { onlyLooks } from './hold-to-calendars.js';
import { readScheduleGate } from './schedule-gate.js';

/** What a schedule's calendars say, and what it does where they are closed: `refuse`, `skip` or `defer`. */
export interface ForecastGate {
  readonly gate: CalendarGate;
  readonly whenClosed: string;
}

/** Assets for which the same calendars hold. */
export interface AssetGate {
  readonly gate: CalendarGate;
  readonly count: number;
  /** Name of one of them. */
  readonly example: string;
}

/** The calendars of a space, read once for a forecast. */
export class ForecastCalendars {
  readonly #gates = new Map<string, CalendarGate>();

  private constructor(
    private readonly context: OperationContext,
    private readonly calendars: readonly HeldCalendar[],
  ) {}

  static async read(context: OperationContext, space: string): Promise<ForecastCalendars> {
    return new ForecastCalendars(context, await readCalendars(context.transaction, space));
  }

  /** As the schedule settles: its calendars, its runbook's, and those of its assets together. Schedules that say the same share one. */
  async gateOf(schedule: StoredSchedule): Promise<ForecastGate> {
    const { whenClosed = 'skip', runbook, targets, calendars } = schedule.document.spec;
    const key = JSON.stringify([runbook, targets ?? null, calendars ?? null]);
    const gate = this.#gates.get(key) ?? (await readScheduleGate(this.context.transaction, schedule));
    this.#gates.set(key, gate);
    return { gate, whenClosed };
  }

  /** By the calendars that select the assets themselves; whoever only looks is held by none. */
  async gatesOf(spec: RunbookSpec, assets: ReadonlyMap<string, string>): Promise<readonly AssetGate[]> {
    const covered = onlyLooks(spec) ? null : coverOf(this.calendars);
    if (covered === null || assets.size === 0) return [];
    const groups = await groupAssets(this.context.transaction, [...assets.keys()], covered.cover);
    return groups
      .filter(({ held }) => held.includes(true))
      .map((group) => ({ gate: groupGate(covered.selected, group), count: group.count, example: group.example }));
  }
}
