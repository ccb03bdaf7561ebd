import { instants } from '@fettle/calendar';
import { FettleError, MAX_BACKFILL, type Backfill, type BackfillRequest } from '@fettle/contracts';
import {
  countWaiting,
  deleteVainBackfills,
  insertFires,
  listTaken,
  type StoredSchedule,
  type Transaction,
} from '@fettle/database';
import type { OperationContext } from './context.js';
import { requireSchedule, requireUnquarantined, type ScheduleKey } from './list-schedules.js';
import { recordAudit } from './record-audit.js';
import { recurrenceOf } from './recurrence-of.js';
import { requireUnnarrowed } from './require-unnarrowed.js';
import { settlePending } from './resume-schedule.js';
import { readScheduleGate, scheduleClosedError } from './schedule-gate.js';

/**
 * Queues a run for each instant in [from, to) that has had none, on behalf of whoever asks: one after the other, and after what the
 * schedule itself has waiting, unless it allows overlap; while its calendars are closed they wait for the opening. Asked again, it adds
 * nothing.
 * A dry run says which, also of a paused schedule, with a notice.
 * @throws FettleError `not-found`, `denied`, `invalid-request`, `limit-exceeded`, `conflict` where it is paused or quarantined,
 *   `calendar-closed` where no opening is known
 */
export async function backfillSchedule(
  context: OperationContext,
  key: ScheduleKey,
  request: BackfillRequest,
): Promise<Backfill> {
  const { transaction, actor } = context;
  requireUnnarrowed(context, 'schedule:operate', key.space);
  const { dryRun } = request;
  const [from, to] = [new Date(request.from), new Date(request.to)];
  const schedule = await readySchedule(context, key, { lock: !dryRun, from, to });
  // What is not settled yet is still to have its own row. A clock ahead of the database's takes nothing away from it.
  const all = instantsOf(schedule, from, to).filter((at) => dryRun || Date.parse(at) <= schedule.watermark.getTime());
  await requireOpening(transaction, schedule);
  const found = await listTaken(transaction, schedule.id, from, to);
  const taken = new Set(found.filter((one) => one.isTaken).map((one) => one.nominalAt.getTime()));
  const queued = all.filter((at) => !taken.has(Date.parse(at)));
  const result: Backfill = {
    schedule: key.name,
    dryRun: request.dryRun,
    queued: queued.map((at) => new Date(at).toISOString()),
    alreadyRan: all.length - queued.length,
    ...(schedule.pausedAt === null ? {} : { notice: pausedError(schedule).message }),
  };
  if (request.dryRun || queued.length === 0) return result;
  await deleteVainBackfills(transaction, schedule.id, queued);
  await insertFires(
    transaction,
    schedule.id,
    queued.map((nominalAt) => ({
      ...{ nominalAt, source: 'backfill', outcome: 'queued', code: '', instants: 1, lastNominalAt: null, dueAt: null },
      ...{ reason: `filled in: ${request.reason}`, runId: null, requestedBy: actor.principalId, requestKey: null },
      evidence: { filledInBy: actor.name, why: request.reason },
    })),
  );
  await countWaiting(transaction, schedule.id);
  await recordAudit(context, {
    action: 'schedule.backfill',
    space: key.space,
    object: { kind: 'Schedule', name: key.name, id: schedule.id },
    detail: { from: request.from, to: request.to, reason: request.reason, instants: queued.length },
  });
  await settlePending(transaction, schedule.id);
  return result;
}

/** Not to be written down, as it is; else settled up to now first: what is due gets its own row, and is not filled in besides. */
async function readySchedule(
  { transaction }: OperationContext,
  key: ScheduleKey,
  { lock, from, to }: { readonly lock: boolean; readonly from: Date; readonly to: Date },
): Promise<StoredSchedule> {
  const before = await requireSchedule(transaction, key, { lock });
  if (!lock) {
    requireUnquarantined(before);
    return before;
  }
  requireReady(before);
  instantsOf(before, from, to);
  await settlePending(transaction, before.id);
  const schedule = await requireSchedule(transaction, key);
  requireReady(schedule);
  return schedule;
}

/** Fires that are filled in wait for the opening of their calendars; where none is known they could only be refused. */
async function requireOpening(transaction: Transaction, schedule: StoredSchedule): Promise<void> {
  const gate = (await readScheduleGate(transaction, schedule))(schedule.readAt.getTime());
  if (!gate.isOpen && gate.nextOpenMs === null) throw scheduleClosedError(schedule.name, gate);
}

function requireReady(schedule: StoredSchedule): void {
  requireUnquarantined(schedule);
  if (schedule.pausedAt !== null) throw pausedError(schedule);
}

function pausedError({ name }: StoredSchedule): FettleError {
  return new FettleError({
    code: 'conflict',
    message: `Schedule "${name}" is paused, so it starts nothing.`,
    remedy: `Resume it first: fettle schedule resume ${name}`,
  });
}

function instantsOf({ document }: StoredSchedule, from: Date, to: Date): readonly string[] {
  if (from >= to || to > new Date()) {
    throw new FettleError({
      code: 'invalid-request',
      message: from >= to ? 'The range ends before it begins.' : 'The range ends in the future.',
      remedy: 'Give a range of the past: --from inclusive, --to exclusive.',
    });
  }
  const all = instants({ ...recurrenceOf(document), from, to });
  if (all.length <= MAX_BACKFILL) return all.map(({ at }) => at);
  throw new FettleError({
    code: 'limit-exceeded',
    message: `There are ${all.length} instants in that range; at most ${MAX_BACKFILL} are filled in at once.`,
    remedy: 'Ask for a shorter range.',
  });
}
