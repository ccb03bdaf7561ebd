import { alwaysOpen, type CalendarGate, type GateState } from '@fettle/calendar';
import { FettleError, runbookDocumentSchema } from '@fettle/contracts';
import { findDocument, type StoredSchedule, type Transaction } from '@fettle/database';
import { readCalendars } from './calendar-book.js';
import { gateOfRequest } from './run-gate.js';

/** Reads the calendars of a schedule and answers for any moment. */
export type ReadScheduleGate = (
  transaction: Transaction,
  schedule: Pick<StoredSchedule, 'space' | 'document'>,
) => Promise<CalendarGate>;

/**
 * The calendars of what a schedule would start: those that it and its runbook name, and those of the targets that it would have now.
 * Where the runbook cannot be read it is open: the start says what is wrong.
 */
export const readScheduleGate: ReadScheduleGate = async (transaction, { space, document }) => {
  const { runbook, targets, calendars } = document.spec;
  // Most estates have none, and a schedule is settled often. What a runbook alone names is found by the start, too.
  if (calendars === undefined && (await readCalendars(transaction, space)).length === 0) return alwaysOpen;
  const stored = await findDocument(transaction, { space, kind: 'Runbook', name: runbook });
  const parsed = runbookDocumentSchema.safeParse(stored?.parsed);
  if (!parsed.success) return alwaysOpen;
  return gateOfRequest(transaction, { space, spec: parsed.data.spec, on: targets, calendars });
};

/** A schedule is asked to start while a calendar of it is closed. */
export function scheduleClosedError(name: string, gate: Extract<GateState, { isOpen: false }>): FettleError {
  const { calendar, reason, nextOpenMs } = gate;
  const next = nextOpenMs === null ? '' : ` It opens at ${new Date(nextOpenMs).toISOString()}.`;
  return new FettleError({
    code: 'calendar-closed',
    message: `Calendar "${calendar}" is closed (${reason}), so schedule "${name}" starts nothing.${next}`,
    remedy: 'Wait for the opening, or start it all the same: --override REASON, which needs schedule:override.',
    detail: { calendar, reason, nextOpen: nextOpenMs === null ? null : new Date(nextOpenMs).toISOString() },
  });
}
