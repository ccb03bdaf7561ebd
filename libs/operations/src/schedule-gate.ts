import { alwaysOpen, type CalendarGate } from '@fettle/calendar';
import { runbookDocumentSchema } from '@fettle/contracts';
import { findDocument, type StoredSchedule, type Transaction } from '@fettle/database';
import { gateOfRequest } from './run-gate.js';

/** Reads the calendars of a schedule and answers for any moment. */
export type ReadScheduleGate = (
  transaction: Transaction,
  schedule: Pick<StoredSchedule, 'id' | 'space' | 'name' | 'document'>,
) => Promise<CalendarGate>;

/**
 * The calendars that a schedule and its runbook name, and those of the assets that its run would have now: open where one of these may
 * begin. Where the runbook cannot be read, its start tells why.
 */
export const readScheduleGate: ReadScheduleGate = async (transaction, { space, document }) => {
  const { runbook, targets, calendars } = document.spec;
  const stored = await findDocument(transaction, { space, kind: 'Runbook', name: runbook });
  const parsed = stored === null ? null : runbookDocumentSchema.safeParse(stored.parsed);
  if (parsed?.success !== true) return alwaysOpen;
  return gateOfRequest(transaction, { space, spec: parsed.data.spec, on: targets, calendars });
};
