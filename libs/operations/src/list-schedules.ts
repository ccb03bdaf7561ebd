import { FettleError, notFoundError, type Page, type PageQuery, type Schedule } from '@fettle/contracts';
import { findSchedule, listLastFires, listScheduleRows, type StoredSchedule, type Transaction } from '@fettle/database';
import { decodeCursor, pageFrom } from './cursor.js';
import { scheduleView, shownLastFires } from './schedule-view.js';

export interface ScheduleKey {
  readonly space: string;
  readonly name: string;
}

/** Schedules by name, with their next and last fires. */
export async function listSchedules(transaction: Transaction, query: PageQuery): Promise<Page<Schedule>> {
  const after = decodeCursor(query.after, ['string']);
  const { space, limit } = query;
  const rows = await listScheduleRows(transaction, { space, after: after?.[0] ?? null, limit: limit + 1 });
  const ids = rows.slice(0, limit).map((row) => row.id);
  const fires = await listLastFires(transaction, ids, shownLastFires);
  const now = new Date();
  return pageFrom(
    rows,
    limit,
    (row) => scheduleView(row, fires.get(row.id) ?? [], now),
    (row) => [row.name],
  );
}

/** @throws FettleError `not-found`. */
export async function getSchedule(transaction: Transaction, key: ScheduleKey): Promise<Schedule> {
  return viewOf(transaction, await requireSchedule(transaction, key));
}

/** @throws FettleError `not-found`. */
export async function requireSchedule(
  transaction: Transaction,
  key: ScheduleKey,
  options: { readonly lock?: boolean } = {},
): Promise<StoredSchedule> {
  const schedule = await findSchedule(transaction, key, options);
  if (schedule) return schedule;
  throw notFoundError('Schedule', key.name, { space: key.space, remedy: 'See `fettle schedule list`.' });
}

/** @throws FettleError `conflict` where it was put aside. */
export function requireUnquarantined({ name, quarantineReason }: StoredSchedule): void {
  if (quarantineReason === null) return;
  throw new FettleError({
    code: 'conflict',
    message: `Schedule "${name}" is quarantined, so it starts nothing: ${quarantineReason}.`,
    remedy: 'Mend it and apply it again.',
  });
}

async function viewOf(transaction: Transaction, schedule: StoredSchedule): Promise<Schedule> {
  const fires = await listLastFires(transaction, [schedule.id], shownLastFires);
  return scheduleView(schedule, fires.get(schedule.id) ?? [], new Date());
}
