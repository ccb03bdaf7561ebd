import { FettleError, type TriggerRequest, type TriggerResult } from '@fettle/contracts';
import {
  countWaiting,
  endWaitingFires,
  findFireByKey,
  insertFires,
  listWaitingFires,
  readScheduleRuns,
  setRunSchedule,
  type NewFire,
  type StoredSchedule,
  type Transaction,
} from '@fettle/database';
import { alwaysOpen, MAX_WAITING, type FireVerdict, type GateState } from '@fettle/calendar';
import { cancelSubRun } from './cancel-run.js';
import type { OperationContext } from './context.js';
import { fireEvidence, fireReason } from './fire-reason.js';
import { fireView } from './fire-view.js';
import { requireSchedule, requireUnquarantined, type ScheduleKey } from './list-schedules.js';
import { recordAudit } from './record-audit.js';
import { requireUnnarrowed } from './require-unnarrowed.js';
import { settlePending } from './resume-schedule.js';
import { readScheduleGate, scheduleClosedError, type ReadScheduleGate } from './schedule-gate.js';
import { calendarOptions, scheduledRequest } from './start-fire.js';
import { findAccepted, startRun, type StartOptions } from './start-run.js';

/**
 * Starts the schedule's run now, on behalf of whoever asks: a row of the ledger that is no instant. It obeys what the schedule says
 * of overlap and of closed calendars: it may have to wait, or be refused. A paused schedule may be triggered.
 * @throws FettleError `not-found`, `conflict` (a run is under way, or it is quarantined), `calendar-closed`, `denied`, and as `startRun`
 */
export async function triggerSchedule(
  context: OperationContext,
  key: ScheduleKey,
  options: Pick<StartOptions, 'idempotencyKey'> & TriggerRequest & { readonly readGate?: ReadScheduleGate } = {},
): Promise<TriggerResult> {
  const { transaction } = context;
  const { override, idempotencyKey } = options;
  if (override !== undefined) requireUnnarrowed(context, 'schedule:override', key.space);
  const schedule = await requireSchedule(transaction, key, { lock: true });
  requireUnquarantined(schedule);
  const known = await findKnown(context, schedule, options);
  if (known) return known;
  const openRunIds = await openRunsOf(context, schedule);
  const now = new Date();
  const readGate = await (options.readGate ?? readScheduleGate)(transaction, schedule);
  const gate = readGate(now.getTime());
  const waits = override === undefined ? await waitingVerdict(context, schedule, gate, openRunIds) : null;
  const fire: NewFire = {
    ...{ nominalAt: now.toISOString(), source: 'trigger', instants: 1, lastNominalAt: null, runId: null },
    outcome: waits?.outcome ?? 'fired',
    code: waits?.code ?? '',
    dueAt: waits?.dueAt ?? null,
    reason: waits === null ? 'triggered' : fireReason(waits),
    evidence: {
      ...(waits === null ? {} : fireEvidence(waits, { ...schedule, openRunIds })),
      triggeredBy: context.actor.name,
      ...(override === undefined ? {} : { override: override.reason }),
    },
    requestedBy: context.actor.principalId,
    requestKey: idempotencyKey ?? null,
  };
  if (waits !== null) return wait(context, schedule, fire, openRunIds);
  const run = await startRun(
    context,
    {
      ...scheduledRequest(schedule, 'trigger'),
      // Open where one target is: the others must not wait then either.
      ...(readGate === alwaysOpen ? {} : { overrideCalendar: override?.reason }),
    },
    { ...calendarOptions(schedule), idempotencyKey },
  );
  await setRunSchedule(transaction, run.id, schedule.id);
  await insertFires(transaction, schedule.id, [{ ...fire, runId: run.id }]);
  await audit(context, schedule, {
    runId: run.id,
    ...(override === undefined ? {} : { override: override.reason, openRuns: openRunIds.length }),
  });
  return { ...run, schedule: schedule.name };
}

async function findKnown(
  context: OperationContext,
  schedule: StoredSchedule,
  options: Pick<StartOptions, 'idempotencyKey'>,
): Promise<TriggerResult | null> {
  const { idempotencyKey } = options;
  if (idempotencyKey === undefined) return null;
  const run = await findAccepted(context, schedule.space, options, scheduledRequest(schedule, 'trigger'));
  if (run) return run;
  const waiting = await findFireByKey(context.transaction, schedule.id, context.actor.principalId, idempotencyKey);
  return waiting === null ? null : { waiting: fireView(waiting) };
}

async function openRunsOf({ transaction }: OperationContext, { id }: StoredSchedule): Promise<readonly string[]> {
  const { openRunIds } = await readScheduleRuns(transaction, id, { failuresFrom: null, withLastEnd: false });
  return openRunIds;
}

/** Null: it may start now. */
async function waitingVerdict(
  { transaction }: OperationContext,
  { id, name, document }: StoredSchedule,
  gate: GateState,
  openRunIds: readonly string[],
): Promise<FireVerdict | null> {
  const { overlap, whenClosed } = document.spec;
  if (!gate.isOpen) {
    const { reason: code, calendar, nextOpenMs } = gate;
    if (whenClosed !== 'defer' || nextOpenMs === null) throw scheduleClosedError(name, gate);
    const dueAt = new Date(Math.ceil(nextOpenMs / 1000) * 1000).toISOString();
    return { outcome: 'deferred', code, latenessMs: 0, dueAt, calendar };
  }
  if (openRunIds.length === 0 || overlap === 'allow') return null;
  if (overlap === 'skip') throw overlapError(name, 'A run of');
  if (overlap === 'queue-one') {
    const waiting = await listWaitingFires(transaction, id, MAX_WAITING);
    const isQueued = waiting.some(({ outcome, source }) => outcome === 'queued' && source !== 'backfill');
    if (isQueued) throw overlapError(name, 'A run, and another fire that waits for its end, of');
  }
  return { outcome: 'queued', code: 'overlap', latenessMs: 0, dueAt: null, calendar: null };
}

async function wait(
  context: OperationContext,
  schedule: StoredSchedule,
  fire: NewFire,
  openRunIds: readonly string[],
): Promise<TriggerResult> {
  const { transaction } = context;
  await rehearse(context, schedule);
  const cancelsOther = fire.outcome === 'queued' && schedule.document.spec.overlap === 'cancel-other';
  // The newest stands for those that wait for the same end: otherwise each would cancel the one before it.
  if (cancelsOther) await supersedeQueued(transaction, schedule.id);
  await insertFires(transaction, schedule.id, [fire]);
  await countWaiting(transaction, schedule.id);
  if (cancelsOther) {
    for (const runId of openRunIds) await cancelSubRun(transaction, runId, `schedule ${schedule.name} was triggered`);
  }
  await audit(context, schedule, { waits: fire.outcome, code: fire.code });
  // Writes down when it is to be attended to, and starts it where the run that stood in its way has just been ended.
  await settlePending(transaction, schedule.id);
  const settledAt = new Date();
  const { nominalAt, dueAt } = fire;
  return {
    waiting: fireView({
      ...fire,
      ...{ nominalAt: new Date(nominalAt), dueAt: dueAt === null ? null : new Date(dueAt) },
      ...{ lastNominalAt: null, waited: null, settledAt },
    }),
  };
}

/**
 * Refuses what could not start if it were its turn, before it takes a place in the queue or ends the run of another: the run is
 * accepted and taken back. @throws FettleError as `startRun`, but for a closed calendar
 */
async function rehearse(context: OperationContext, schedule: StoredSchedule): Promise<void> {
  const takenBack = new Error('only to see whether it would be accepted');
  try {
    await context.transaction.transaction(async (transaction) => {
      await startRun({ ...context, transaction }, scheduledRequest(schedule, 'trigger'), calendarOptions(schedule));
      throw takenBack;
    });
  } catch (error) {
    const isFine = error === takenBack || (error instanceof FettleError && error.code === 'calendar-closed');
    if (!isFine) throw error;
  }
}

async function supersedeQueued(transaction: Transaction, scheduleId: string): Promise<void> {
  const waiting = await listWaitingFires(transaction, scheduleId, MAX_WAITING);
  const queued = waiting.filter(({ outcome, source }) => outcome === 'queued' && source !== 'backfill');
  await endWaitingFires(
    transaction,
    scheduleId,
    queued.map((fire) => ({
      ...fire,
      ...{ nominalAt: fire.nominalAt.toISOString(), lastNominalAt: null, dueAt: null, evidence: {} },
      ...{ outcome: 'skipped', code: 'superseded', reason: 'a later trigger stands for it' },
    })),
  );
}

async function audit(
  context: OperationContext,
  { id, space, name }: StoredSchedule,
  detail: Readonly<Record<string, unknown>>,
): Promise<void> {
  await recordAudit(context, { action: 'schedule.trigger', space, object: { kind: 'Schedule', name, id }, detail });
}

function overlapError(name: string, what: string): FettleError {
  return new FettleError({
    code: 'conflict',
    message: `${what} schedule "${name}" is still under way.`,
    remedy:
      'Wait for it or cancel it; `overlap` in the document lets runs overlap or wait; --override starts it all the same.',
  });
}
