import { alwaysOpen, MAX_WAITING, nextInstants, type Recurrence, type Settlement } from '@fettle/calendar';
import { FettleError, MAX_BACKFILL, scheduleDocumentSchema } from '@fettle/contracts';
import {
  endWaitingFires,
  extendFire,
  findLastFire,
  findSchedule,
  insertFires,
  listWaitingFires,
  lockScheduleById,
  pauseScheduleRow,
  readScheduleRuns,
  resumeScheduleRow,
  saveSettled,
  type NewFire,
  type ScheduleRuns,
  type StoredFire,
  type StoredSchedule,
  type Transaction,
} from '@fettle/database';
import { uuidv7 } from 'uuidv7';
import { cancelSubRun } from './cancel-run.js';
import { systemContext } from './context.js';
import type { FireCircumstances } from './fire-reason.js';
import { quarantine } from './quarantine-schedule.js';
import { recordAudit } from './record-audit.js';
import { recurrenceOf } from './recurrence-of.js';
import { readScheduleGate, type ReadScheduleGate } from './schedule-gate.js';
import {
  isIdle,
  isStarting,
  ledgerRow,
  settleSituation,
  type DecidedFire,
  type Situation,
} from './settle-situation.js';
import { startFire } from './start-fire.js';

export interface SettledFires {
  /** New rows of the ledger, and those that waited until now. */
  readonly fires: readonly NewFire[];
  /** There are more instants up to now: settle again. */
  readonly more: boolean;
}

const nothing: SettledFires = { fires: [], more: false };

/**
 * Gives every nominal instant between the schedule's watermark and now exactly one row in the ledger, ends those that waited and
 * need not any more, and starts the runs that are to start, in one transaction. Called by each fire of the Temporal Schedule, by the
 * reconciler, at the end of a run that others waited for, and by persons: whoever comes first does it, the others find nothing left.
 * Now is by the clock of the database, read under the schedule's lock: a watermark never goes back, so that the clock of one worker
 * must not move it. Another `givenNow` is for tests.
 */
export async function settleFire(
  transaction: Transaction,
  scheduleId: string,
  givenNow?: Date,
  readGate: ReadScheduleGate = readScheduleGate,
): Promise<SettledFires> {
  const key = await lockScheduleById(transaction, scheduleId);
  const stored = key ? await findSchedule(transaction, key) : null;
  if (!stored || stored.quarantineReason !== null) return nothing;
  const now = givenNow ?? stored.readAt;
  const readable = await readableSchedule(transaction, stored);
  if (readable === null) return nothing;
  const { recurrence } = readable;
  const runs = await readScheduleRuns(transaction, stored.id, {
    failuresFrom: stored.failuresFrom,
    withLastEnd: stored.waiting > 0,
  });
  const schedule = await pausedByFailure(transaction, readable.schedule, runs, now);
  const waiting =
    schedule.waiting === 0 ? [] : await listWaitingFires(transaction, schedule.id, MAX_WAITING + MAX_BACKFILL);
  const settlement = await settled(transaction, {
    schedule,
    recurrence,
    runs,
    waiting,
    now,
    // To read it may take a look at each asset; most wake-ups find nothing to decide.
    gate: isIdle({ schedule, recurrence, waiting, now }) ? alwaysOpen : await readGate(transaction, schedule),
  });
  if (settlement === null) return nothing;
  const fires = await write(transaction, schedule, settlement, { runs, waiting });
  if (settlement.cancelRunning) {
    for (const runId of runs.openRunIds)
      await cancelSubRun(transaction, runId, `schedule ${schedule.name} is due again`);
  }
  const next = nextInstants({ ...recurrence, after: settlement.watermark, count: 1 });
  const hasResumed = await resumedByTime(transaction, schedule, settlement, now);
  await saveSettled(transaction, schedule.id, {
    watermark: settlement.watermark,
    nextAt: next[0]?.at ?? null,
    attendAt: hasResumed ? null : schedule.pausedUntil,
  });
  return { fires, more: settlement.more };
}

/** Null: it is quarantined. What is stored may be of an older version of Fettle, or changed beside it. */
async function readableSchedule(
  transaction: Transaction,
  stored: StoredSchedule,
): Promise<{ readonly schedule: StoredSchedule; readonly recurrence: Recurrence } | null> {
  const parsed = scheduleDocumentSchema.safeParse(stored.document);
  if (!parsed.success) {
    const { path = [], message = 'invalid' } = parsed.error.issues[0] ?? {};
    await quarantine(transaction, stored, 'invalid-document', `${path.join('.')}: ${message}`);
    return null;
  }
  const schedule = { ...stored, document: parsed.data };
  try {
    return { schedule, recurrence: recurrenceOf(schedule.document) };
  } catch (error) {
    if (!(error instanceof FettleError)) throw error;
    await quarantine(transaction, stored, error.code, error.message);
    return null;
  }
}

/** Null: its instants cannot be computed, so it is quarantined. */
async function settled(transaction: Transaction, situation: Situation): Promise<Settlement | null> {
  const { schedule, recurrence } = situation;
  try {
    return settleSituation(situation, schedule.pausedAt === null ? null : await lastOf(transaction, schedule));
  } catch (error) {
    // Only what the document says puts a schedule aside: what else went wrong is no fault of it, and may go right the next time.
    if (!(error instanceof FettleError) || isReckonable(recurrence, schedule.watermark)) throw error;
    await quarantine(transaction, schedule, error.code, error.message);
    return null;
  }
}

/** A stretch from before the schedule was due as it is now does not grow: the ledger's check counts from there on. */
async function lastOf(transaction: Transaction, { id, countedFrom }: StoredSchedule): Promise<StoredFire | null> {
  const last = await findLastFire(transaction, id);
  return last === null || (countedFrom !== null && last.nominalAt <= countedFrom) ? null : last;
}

function isReckonable(recurrence: Recurrence, after: Date): boolean {
  try {
    nextInstants({ ...recurrence, after, count: 1 });
    return true;
  } catch (error) {
    if (error instanceof FettleError) return false;
    throw error;
  }
}

async function write(
  transaction: Transaction,
  schedule: StoredSchedule,
  settlement: Settlement,
  { runs, waiting }: Pick<Situation, 'runs' | 'waiting'>,
): Promise<NewFire[]> {
  const known: FireCircumstances = { ...schedule, openRunIds: runs.openRunIds };
  const ends: NewFire[] = [];
  for (const end of settlement.ends) {
    const before = waiting.find(
      (one) => one.source === end.source && one.nominalAt.getTime() === Date.parse(end.nominalAt),
    );
    ends.push(
      await carryOut(transaction, schedule, { ...end, instants: 1, lastNominalAt: end.nominalAt, before }, known),
    );
  }
  const fires: NewFire[] = [];
  for (const decision of settlement.decisions) {
    if (decision.extendsLast) {
      const last = await findLastFire(transaction, schedule.id);
      await extendFire(transaction, schedule.id, last!.nominalAt, decision);
      continue;
    }
    fires.push(await carryOut(transaction, schedule, { ...decision, source: 'nominal', before: undefined }, known));
  }
  await endWaitingFires(transaction, schedule.id, ends);
  await insertFires(transaction, schedule.id, fires);
  return [...ends, ...fires];
}

async function carryOut(
  transaction: Transaction,
  schedule: StoredSchedule,
  decided: DecidedFire,
  known: FireCircumstances,
): Promise<NewFire> {
  const fire = ledgerRow(decided, known);
  if (!isStarting(fire)) return fire;
  try {
    const runId = await transaction.transaction((nested) => startFire(nested, schedule, fire));
    return { ...fire, runId };
  } catch (error) {
    if (!(error instanceof FettleError)) throw error;
    return {
      ...fire,
      outcome: 'refused',
      code: error.code,
      reason: `the run was refused: ${error.code}: ${error.message}`.slice(0, 2000),
    };
  }
}

/** A run that failed pauses a schedule that wants it, from the end of that run on; a pause that has come to its end goes on with it. */
async function pausedByFailure(
  transaction: Transaction,
  schedule: StoredSchedule,
  { failed }: ScheduleRuns,
  now: Date,
): Promise<StoredSchedule> {
  const { pausedAt, pausedUntil } = schedule;
  if (failed === null || (pausedAt !== null && (pausedUntil === null || pausedUntil > now))) return schedule;
  const from = pausedAt ?? new Date(failed.endedAt);
  const reason = `run ${failed.id} ${failed.state === 'failed' ? 'failed' : 'timed out'}`;
  await pauseScheduleRow(transaction, { id: schedule.id, by: 'system', reason, from });
  await recordAudit(systemContext(transaction, uuidv7()), {
    action: 'schedule.pause',
    space: schedule.space,
    object: { kind: 'Schedule', name: schedule.name, id: schedule.id },
    detail: { reason, runId: failed.id, since: from.toISOString() },
  });
  return { ...schedule, pausedAt: from, pausedBy: 'system', pauseReason: reason, pausedUntil: null };
}

async function resumedByTime(
  transaction: Transaction,
  { id, space, name, pausedAt, pausedUntil }: StoredSchedule,
  { more }: Settlement,
  now: Date,
): Promise<boolean> {
  if (pausedAt === null || pausedUntil === null || pausedUntil > now || more) return false;
  await resumeScheduleRow(transaction, id);
  await recordAudit(systemContext(transaction, uuidv7()), {
    action: 'schedule.resume',
    space,
    object: { kind: 'Schedule', name, id },
    detail: { pausedSince: pausedAt.toISOString(), until: pausedUntil.toISOString() },
  });
  return true;
}
