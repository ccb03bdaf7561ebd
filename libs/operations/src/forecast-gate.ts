import type { CalendarGate } from '@fettle/calendar';
import type { RunbookSpec } from '@fettle/contracts';
import { groupAssets, type StoredSchedule } from '@fettle/database';
import { coverOf, groupGate, namedGate, readCalendars, type HeldCalendar } from './calendar-book.js';
import type { OperationContext } from './context.js';

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
  private constructor(
    private readonly context: OperationContext,
    private readonly calendars: readonly HeldCalendar[],
  ) {}

  static async read(context: OperationContext, space: string): Promise<ForecastCalendars> {
    return new ForecastCalendars(context, await readCalendars(context.transaction, space));
  }

  /** By the calendars that a schedule and its runbook name. */
  gateOf({ document }: StoredSchedule, runbook: RunbookSpec | null): ForecastGate {
    const { calendars = [], whenClosed = 'skip' } = document.spec;
    return { gate: namedGate(this.calendars, [calendars, runbook?.calendars ?? []]), whenClosed };
  }

  /** By the calendars that select the assets themselves. */
  async gatesOf(assets: ReadonlyMap<string, string>): Promise<readonly AssetGate[]> {
    const covered = coverOf(this.calendars);
    if (covered === null || assets.size === 0) return [];
    const groups = await groupAssets(this.context.transaction, [...assets.keys()], covered.cover);
    return groups
      .filter(({ held }) => held.includes(true))
      .map((group) => ({ gate: groupGate(covered.selected, group), count: group.count, example: group.example }));
  }
}
