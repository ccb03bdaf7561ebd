import { instants } from '@fettle/calendar';
import { FettleError, MAX_BACKFILL, type Backfill, type BackfillRequest } from '@fettle/contracts';
import { deleteVainBackfills, insertFires, listTaken, countWaiting, type StoredSchedule } from '@fettle/database';
import type { OperationContext } from './context.js';
import { requireSchedule, type ScheduleKey } from './list-schedules.js';
import { recordAudit } from './record-audit.js';
import { recurrenceOf } from './recurrence-of.js';
import { requireUnnarrowed } from './require-unnarrowed.js';
import { settlePending } from './resume-schedule.js';

/**
 * Queues a run for each instant in [from, to) that has had none, on behalf of whoever asks: one after the other, and after what the
 * schedule itself has waiting, unless it allows overlap. Asked again, it adds nothing.
 * @throws FettleError `not-found`, `denied`, `invalid-request`, `limit-exceeded`, `conflict` where it is paused or quarantined
 */
export async function backfillSchedule(
  context: OperationContext,
  key: ScheduleKey,
  request: BackfillRequest,
): Promise<Backfill> {
  const { transaction, actor } = context;
  requireUnnarrowed(context, 'schedule:operate', key.space);
  const schedule = await requireSchedule(transaction, key, { lock: !request.dryRun });
  requireReady(schedule);
  const [from, to] = [new Date(request.from), new Date(request.to)];
  const all = instantsOf(schedule, from, to);
  const found = await listTaken(transaction, schedule.id, from, to);
  const taken = new Set(found.filter((one) => one.isTaken).map((one) => one.nominalAt.getTime()));
  const queued = all.filter((at) => !taken.has(Date.parse(at)));
  const result: Backfill = {
    schedule: key.name,
    dryRun: request.dryRun,
    queued: queued.map((at) => new Date(at).toISOString()),
    alreadyRan: all.length - queued.length,
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

function requireReady({ name, pausedAt, quarantineReason }: StoredSchedule): void {
  if (pausedAt === null && quarantineReason === null) return;
  throw new FettleError({
    code: 'conflict',
    message: `Schedule "${name}" is ${pausedAt === null ? 'quarantined' : 'paused'}, so it starts nothing.`,
    remedy: pausedAt === null ? 'Mend it and apply it again.' : `Resume it first: fettle schedule resume ${name}`,
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
