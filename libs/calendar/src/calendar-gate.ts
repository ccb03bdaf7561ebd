/** Why a calendar is closed: outside of a maintenance window, inside of a freeze, or on a holiday. */
export type CalendarClosure = 'window' | 'freeze' | 'holiday';

export interface GateOpen {
  readonly isOpen: true;
  /** When nothing may start any more (the end of the window less its cutoff, the start of a freeze); absent where that is never, or was not asked. */
  readonly closesAtMs?: number;
  /** It is open until `closesAtMs` at least: the question was too costly to be followed any further. */
  readonly isCut?: true;
}

export interface GateClosed {
  readonly isOpen: false;
  readonly reason: CalendarClosure;
  /** The name of the calendar that is closed. */
  readonly calendar: string;
  /** The first moment after the asked one at which the gate is open, ms since the epoch; null where none is known: there is none, or it was too costly to find. */
  readonly nextOpenMs: number | null;
}

export type GateState = GateOpen | GateClosed;

/** What one question may cost: a look at one window, freeze or holiday that comes again. One with fixed times costs 1. */
export const RECURRING_LOOK_COST = 100;
/** What one question may cost in all: some 4000 looks, a tenth of a second. */
export const MAX_GATE_COST = 4000 * RECURRING_LOOK_COST;

/** Spent by looking. Whether a gate is open is always told; from when or until when, only as far as this goes. */
export class GateBudget {
  constructor(private left = MAX_GATE_COST) {}

  get isSpent(): boolean {
    return this.left <= 0;
  }

  spend(cost: number): void {
    this.left -= cost;
  }
}

export interface GateQuestion {
  /** Ask an open gate when it closes, which may cost a lot more. Default: false. */
  readonly closes?: boolean;
  /** Of several questions together. Default: one of its own. */
  readonly budget?: GateBudget;
}

/** Whether work may start at a moment (ms since the epoch). Pure: the calendars were read before. */
export type CalendarGate = (atMs: number, question?: GateQuestion) => GateState;

/** The gate of what no calendar is attached to. */
export const alwaysOpen: CalendarGate = () => ({ isOpen: true });
