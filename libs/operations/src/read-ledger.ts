import { countInstants } from '@fettle/calendar';
import { FettleError, type Ledger, type PageQuery } from '@fettle/contracts';
import { listFires, sumOutcomes, type StoredSchedule, type Transaction } from '@fettle/database';
import { decodeCursor, pageFrom } from './cursor.js';
import { fireView } from './fire-view.js';
import { requireSchedule, type ScheduleKey } from './list-schedules.js';
import { recurrenceOf } from './recurrence-of.js';

/** Beyond so many instants the sum is not compared with the calendar. */
const MAX_COUNTED = 200_000;

/**
 * The fire ledger, the newest row first, with its check: as many instants by the calendar as outcomes together. Read it in a
 * transaction of its own view (repeatable read): watermark and rows belong together. @throws FettleError `not-found`
 */
export async function readLedger(
  transaction: Transaction,
  key: ScheduleKey,
  query: Pick<PageQuery, 'limit' | 'after'>,
): Promise<Ledger> {
  const schedule = await requireSchedule(transaction, key);
  const after = decodeCursor(query.after, ['string', 'string']);
  const rows = await listFires(transaction, {
    scheduleId: schedule.id,
    before: after === null ? null : { nominalAt: after[0], source: after[1] },
    limit: query.limit + 1,
  });
  const page = pageFrom(rows, query.limit, fireView, (row) => [row.nominalAt.toISOString(), row.source]);
  return {
    space: key.space,
    schedule: key.name,
    watermark: schedule.watermark.toISOString(),
    countedFrom: schedule.countedFrom?.toISOString() ?? null,
    check: await checkOf(transaction, schedule),
    items: [...page.items],
    next: page.next,
  };
}

/** Null: it cannot be told, or would be too much to count. */
async function checkOf(transaction: Transaction, schedule: StoredSchedule): Promise<Ledger['check']> {
  const { id, countedFrom, watermark, quarantineReason } = schedule;
  if (countedFrom === null || quarantineReason !== null) return null;
  const instants = expectedOf(schedule, countedFrom);
  if (instants === null) return null;
  const outcomes = await sumOutcomes(transaction, id, countedFrom, watermark);
  const sum = Object.values(outcomes).reduce((total, one) => total + one, 0);
  return { instants, outcomes, isSound: sum === instants };
}

function expectedOf({ document, watermark }: StoredSchedule, after: Date): number | null {
  try {
    return countInstants(recurrenceOf(document), { after, upTo: watermark, max: MAX_COUNTED });
  } catch (error) {
    if (error instanceof FettleError) return null;
    throw error;
  }
}
