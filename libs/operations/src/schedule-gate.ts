import { alwaysOpen, type CalendarGate } from '@fettle/calendar';
import { runbookDocumentSchema } from '@fettle/contracts';
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
