import { durationMs, type RunState, type ScheduleAfter } from '@fettle/contracts';
import {
  countWaiting,
  findSchedule,
  freeFireTime,
  insertFires,
  lockScheduleById,
  takeFollow,
  type FollowedRun,
  type NewFire,
  type OpenFollow,
  type StoredSchedule,
  type Transaction,
} from '@fettle/database';
import { readScheduleGate } from './schedule-gate.js';
import { settleFire } from './settle-fire.js';

/**
 * Decides what a schedule makes of the end of a run that it follows: one row of the ledger for each such end, whoever comes first. What
 * is to start becomes a fire that waits, due now, so that overlap, closed calendars and a pause are decided where they always are.
 * False: it has been decided already. Now is by the clock of the database; another is for tests.
 */
export async function followRun(transaction: Transaction, follow: OpenFollow, givenNow?: Date): Promise<boolean> {
  const { scheduleId, runId } = follow;
  const key = await lockScheduleById(transaction, scheduleId);
  const schedule = key ? await findSchedule(transaction, key) : null;
  const run = await takeFollow(transaction, follow);
  if (!schedule || !run) return false;
  const now = givenNow ?? schedule.readAt;
  const nominalAt = await freeFireTime(transaction, scheduleId, new Date(Math.floor(run.endedAt.getTime())));
  const against = reasonAgainst(schedule, runId, run, now) ?? (await closedNow(transaction, schedule, now));
  const fire: NewFire = {
    ...{ nominalAt: nominalAt.toISOString(), source: 'after', instants: 1, lastNominalAt: null, runId: null },
    ...(against ?? {
      outcome: 'deferred',
      code: 'after',
      reason: `run ${runId} of ${run.schedule} ${ended(run.state)}`,
    }),
    dueAt: against === null ? now.toISOString() : null,
    evidence: { followedRun: runId, followedSchedule: run.schedule, state: run.state },
    requestedBy: null,
    requestKey: null,
  };
  await insertFires(transaction, scheduleId, [fire]);
  if (against !== null) return true;
  await countWaiting(transaction, scheduleId);
  await settleFire(transaction, scheduleId, now);
  return true;
}

/** Null: it is to start. */
function reasonAgainst(
  { document, quarantineReason }: StoredSchedule,
  runId: string,
  run: FollowedRun,
  now: Date,
): Pick<NewFire, 'outcome' | 'code' | 'reason'> | null {
  const { after, catchUp } = document.spec;
  const what = `run ${runId} of ${run.schedule} ${ended(run.state)}`;
  if (quarantineReason !== null)
    return {
      outcome: 'refused',
      code: 'quarantined',
      reason: `${what}; the schedule is quarantined: ${quarantineReason}`,
    };
  if (after?.schedule !== run.schedule)
    return {
      outcome: 'skipped',
      code: 'after',
      reason: `${what}; the schedule does not follow ${run.schedule} any more`,
    };
  if (!isMeant(after, run.state))
    return { outcome: 'skipped', code: 'after', reason: `${what}; it is due after a ${after.on} alone` };
  const latenessMs = now.getTime() - run.endedAt.getTime();
  if (latenessMs > durationMs(after.within ?? catchUp))
    return {
      outcome: 'missed',
      code: 'late',
      reason: `${what} ${Math.round(latenessMs / 1000)} s ago, longer than it may be late`,
    };
  return null;
}

/** A closed calendar, where the schedule does not wait for its opening. */
async function closedNow(
  transaction: Transaction,
  schedule: StoredSchedule,
  now: Date,
): Promise<Pick<NewFire, 'outcome' | 'code' | 'reason'> | null> {
  const state = (await readScheduleGate(transaction, schedule))(now.getTime());
  const { whenClosed = 'skip' } = schedule.document.spec;
  if (state.isOpen || (whenClosed === 'defer' && state.nextOpenMs !== null)) return null;
  const outcome = whenClosed === 'skip' ? 'skipped' : 'refused';
  return { outcome, code: state.reason, reason: `the calendar ${state.calendar} is closed (${state.reason})` };
}

function isMeant({ on }: ScheduleAfter, state: RunState): boolean {
  if (on === 'completion') return true;
  // A run that somebody cancelled has neither succeeded nor failed.
  return on === 'success' ? state === 'succeeded' : state === 'failed' || state === 'timed-out';
}

function ended(state: RunState): string {
  return state === 'timed-out' ? 'timed out' : state === 'cancelled' ? 'was cancelled' : state;
}
