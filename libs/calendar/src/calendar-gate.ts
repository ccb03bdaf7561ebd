/** Why a calendar is closed: outside of a maintenance window, inside of a freeze, or on a holiday. */
export type CalendarClosure = 'window' | 'freeze' | 'holiday';

export interface GateOpen {
  readonly isOpen: true;
  /** When nothing may start any more (the end of the window less its cutoff, the start of a freeze); absent where that is never. */
  readonly closesAtMs?: number;
}

export interface GateClosed {
  readonly isOpen: false;
  readonly reason: CalendarClosure;
  /** The name of the calendar that is closed. */
  readonly calendar: string;
  /** The first moment after the asked one at which the gate is open, ms since the epoch; null where none is known. */
  readonly nextOpenMs: number | null;
}

export type GateState = GateOpen | GateClosed;

/** Whether work may start at a moment (ms since the epoch). Pure: the calendars were read before. */
export type CalendarGate = (atMs: number) => GateState;

/** The gate of what no calendar is attached to. */
export const alwaysOpen: CalendarGate = () => ({ isOpen: true });
