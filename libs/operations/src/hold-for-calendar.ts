import { holdRun, readOpening, readRunCalendar, readTimeLeft, findRunRow, type Transaction } from '@fettle/database';
import { closureOf, readCalendars } from './calendar-book.js';
import { gatesOfTargets, runGate } from './hold-to-calendars.js';

/**
 * Whether a run that waits whole may begin now; it is written where that has changed. Doing it again changes nothing.
 * @returns milliseconds until its calendars open; null: it goes on, because they have, or because it is to end
 */
export async function holdForCalendar(transaction: Transaction, runId: string): Promise<number | null> {
  const { waits, hasEnded, isCancelled } = await readOpening(transaction, runId);
  if (!waits || hasEnded) return null;
  if (isCancelled) {
    // Its time goes on, for what it does at its end.
    await holdRun(transaction, runId, null);
    return null;
  }
  const row = await findRunRow(transaction, runId);
  const calendar = await readRunCalendar(transaction, runId);
  if (row === null) return null;
  const calendars = await readCalendars(transaction, row.space);
  const groups = calendar?.onlyLooks === true ? [] : await gatesOfTargets(transaction, runId, calendars);
  const nowMs = Date.now();
  const state = runGate(calendars, calendar?.named ?? [], groups)(nowMs);
  if (state.isOpen) {
    await holdRun(transaction, runId, null);
    return null;
  }
  await holdRun(transaction, runId, closureOf(state));
  if (state.nextOpenMs !== null) return Math.max(1, state.nextOpenMs - nowMs);
  const leftMs = await readTimeLeft(transaction, runId);
  if (leftMs > 0) return leftMs;
  // Nobody knows when it could begin, and its time is over.
  await holdRun(transaction, runId, null);
  return null;
}
