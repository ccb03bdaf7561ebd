import { endedRunStates } from '@fettle/contracts';
import {
  appendEntries,
  closeDeadline,
  lockRun,
  raiseDeadline,
  saveLockedRun,
  type OpenDeadline,
  type Transaction,
} from '@fettle/database';
import { uuidv7 } from 'uuidv7';
import { systemContext } from './context.js';
import { recordAudit } from './record-audit.js';

/**
 * Decides a deadline of a schedule's run: met (it is forgotten), or not to be met any more, which is said once: a record of the audit
 * log, an entry of the run where it is open, and a count among the metrics. Returns whether it was raised by this call.
 */
export async function watchDeadline(transaction: Transaction, deadline: OpenDeadline, now: Date): Promise<boolean> {
  const lost = lostReason(deadline, now);
  if (lost === undefined) return false;
  if (lost === null) {
    await closeDeadline(transaction, deadline);
    return false;
  }
  if (!(await raiseDeadline(transaction, deadline, lost))) return false;
  const { scheduleId, schedule, space, nominalAt, kind, dueAt, runId } = deadline;
  const detail = { kind, nominalAt: nominalAt.toISOString(), dueAt: dueAt.toISOString(), reason: lost, runId };
  await recordAudit(systemContext(transaction, uuidv7()), {
    action: 'schedule.deadline',
    space,
    object: { kind: 'Schedule', name: schedule, id: scheduleId },
    detail,
  });
  if (runId !== null) await tellRun(transaction, runId, { schedule, kind, dueAt: dueAt.toISOString(), reason: lost });
  return true;
}

async function tellRun(
  transaction: Transaction,
  runId: string,
  data: Readonly<Record<string, unknown>>,
): Promise<void> {
  const run = await lockRun(transaction, runId);
  // Nothing follows the last entry of a run that has ended.
  if (endedRunStates.includes(run.state)) return;
  await appendEntries(transaction, run, [{ kind: 'deadline-missed', data }]);
  await saveLockedRun(transaction, run);
}

/** Why it cannot be met any more; null: it is met, or a person paused the schedule. Undefined: it may still be met. */
function lostReason(deadline: OpenDeadline, now: Date): string | null | undefined {
  const { kind, dueAt, outcome, code, reason, fireDueAt, runId, startedAt, endedAt } = deadline;
  const isStart = kind === 'start';
  const what = isStart ? 'started' : 'finished';
  const by = `it must have ${what} by ${dueAt.toISOString()}`;
  if (runId === null) {
    if (code === 'paused') return null;
    if (outcome === 'deferred' && fireDueAt !== null && fireDueAt > dueAt)
      return `${by}, and waits for an opening at ${fireDueAt.toISOString()}`;
    if (outcome !== 'queued' && outcome !== 'deferred') return `${by}, and was ${outcome}: ${reason}`;
    return dueAt <= now ? `${by}, and is ${outcome}: ${reason}` : undefined;
  }
  // A run that ended before it was taken up has not started.
  const happenedAt = isStart ? startedAt : endedAt;
  if (happenedAt !== null) {
    if (happenedAt <= dueAt) return null;
    return `${by}, and ${what} at ${happenedAt.toISOString()}: run ${runId}`;
  }
  if (isStart && endedAt !== null) return `${by}, and ended without having started: run ${runId}`;
  if (dueAt > now) return undefined;
  return `${by}, and has not: run ${runId} ${startedAt === null ? 'waits' : 'is under way'}`;
}
