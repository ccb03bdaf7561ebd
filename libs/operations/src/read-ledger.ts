import { FettleError, type Ledger, type PageQuery } from '@fettle/contracts';
import { listFires, sumOutcomes, type StoredSchedule, type Transaction } from '@fettle/database';
import { countInstants } from './count-ledger.js';
import { decodeCursor, pageFrom } from './cursor.js';
import { fireView } from './fire-view.js';
import { requireSchedule, type ScheduleKey } from './list-schedules.js';
import { recurrenceOf } from './recurrence-of.js';

/** Beyond so many instants, or so much work to count them, the sum is not compared with the calendar. */
const COUNT_LIMITS = { max: 20_000, budgetMs: 200 };

/**
 * The fire ledger, the newest row first; its first page with its check: as many instants by the calendar as outcomes together. Read
 * it in a transaction of its own view (repeatable read): watermark and rows belong together. @throws FettleError `not-found`
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
    ...(await checkOf(transaction, schedule, after === null)),
    items: [...page.items],
    next: page.next,
  };
}

/** Counted for the first page only: further ones are of the same ledger. */
async function checkOf(
  transaction: Transaction,
  schedule: StoredSchedule,
  isFirst: boolean,
): Promise<Pick<Ledger, 'check' | 'unchecked'>> {
  const { id, countedFrom, watermark, quarantineReason } = schedule;
  const not = (why: string): Pick<Ledger, 'check' | 'unchecked'> => ({ check: null, unchecked: why });
  if (!isFirst) return not('only with the first page');
  if (quarantineReason !== null) return not('the schedule is quarantined');
  if (countedFrom === null) return not('it is not known since when the schedule is due as it is');
  const instants = await expectedOf(schedule, countedFrom);
  if (typeof instants === 'string') return not(instants);
  const outcomes = await sumOutcomes(transaction, id, countedFrom, watermark);
  const sum = Object.values(outcomes).reduce((total, one) => total + one, 0);
  return { check: { instants, outcomes, isSound: sum === instants }, unchecked: null };
}

async function expectedOf({ document, watermark }: StoredSchedule, after: Date): Promise<number | string> {
  try {
    return await countInstants(recurrenceOf(document), { after, upTo: watermark }, COUNT_LIMITS);
  } catch (error) {
    if (error instanceof FettleError) return error.message;
    throw error;
  }
}
