import { nextInstants, settleInstants, type FireDecision, type Recurrence } from '@fettle/calendar';
import { durationMs, FettleError } from '@fettle/contracts';
import {
  findPrincipalById,
  findSchedule,
  hasOpenRun,
  insertFires,
  lockScheduleById,
  quarantineSchedule,
  type NewFire,
  type StoredSchedule,
  type Transaction,
} from '@fettle/database';
import { decide } from '@fettle/security';
import { uuidv7 } from 'uuidv7';
import { systemContext, type OperationContext } from './context.js';
import { recordAudit } from './record-audit.js';
import { recurrenceOf } from './recurrence-of.js';
import { startRun } from './start-run.js';

export interface SettledFires {
  readonly fires: readonly NewFire[];
  /** There are more instants up to now: settle again. */
  readonly more: boolean;
}

/**
 * Gives every nominal instant between the schedule's watermark and now exactly one row in the ledger, and starts the runs that
 * are to start, in one transaction. Called by each fire of the Temporal Schedule, by the reconciler and after a pause: whoever
 * comes first does it, the others find nothing left.
 */
export async function settleFire(transaction: Transaction, scheduleId: string, now: Date): Promise<SettledFires> {
  const key = await lockScheduleById(transaction, scheduleId);
  const schedule = key ? await findSchedule(transaction, key) : null;
  if (!schedule || schedule.quarantineReason !== null) return { fires: [], more: false };
  const { spec } = schedule.document;
  let recurrence: Recurrence;
  try {
    recurrence = recurrenceOf(schedule.document);
  } catch (error) {
    if (!(error instanceof FettleError)) throw error;
    await quarantineSchedule(transaction, schedule.id, error.message);
    await recordAudit(systemContext(transaction, uuidv7()), {
      action: 'schedule.quarantine',
      space: schedule.space,
      object: { kind: 'Schedule', name: schedule.name, id: schedule.id },
      detail: { code: error.code, reason: error.message },
    });
    return { fires: [], more: false };
  }
  const settlement = settleInstants({
    schedule: recurrence,
    watermark: schedule.watermark,
    now,
    catchUpMs: durationMs(spec.catchUp),
    paused: schedule.pausedAt === null ? [] : [{ from: schedule.pausedAt }],
    overlapRunning: await hasOpenRun(transaction, schedule.id),
    overlap: spec.overlap,
  });
  if (settlement.decisions.length === 0) return { fires: [], more: false };
  const fires: NewFire[] = [];
  for (const decision of settlement.decisions) fires.push(await carryOut(transaction, schedule, decision));
  const next = nextInstants({ ...recurrence, after: settlement.watermark, count: 1 });
  await insertFires(transaction, schedule.id, fires, { watermark: settlement.watermark, nextAt: next[0]?.at ?? null });
  return { fires, more: settlement.more };
}

const reasons: Readonly<Record<FireDecision['reason'], string>> = {
  '': 'due',
  paused: 'the schedule was paused',
  overlap: 'a run of this schedule was still under way',
  late: 'nobody could start it within the catch-up limit',
  superseded: 'a later instant of the same outage stands for it',
};

async function carryOut(transaction: Transaction, schedule: StoredSchedule, decision: FireDecision): Promise<NewFire> {
  const { nominalAt, outcome } = decision;
  const reason =
    outcome === 'caught-up' ? `started ${Math.round(decision.latenessMs / 1000)} s late` : reasons[decision.reason];
  if (outcome !== 'fired' && outcome !== 'caught-up') return { nominalAt, outcome, reason, runId: null };
  try {
    const runId = await transaction.transaction((nested) => startForOwner(nested, schedule, nominalAt));
    return { nominalAt, outcome, reason, runId };
  } catch (error) {
    if (!(error instanceof FettleError)) throw error;
    return {
      nominalAt,
      outcome: 'skipped',
      reason: `the run was refused: ${error.code}: ${error.message}`,
      runId: null,
    };
  }
}

/** The run is started on behalf of whoever owns the schedule, with the rights that he has now. */
async function startForOwner(transaction: Transaction, schedule: StoredSchedule, nominalAt: string): Promise<string> {
  const owner = await findPrincipalById(transaction, schedule.createdBy);
  if (!owner || owner.revokedAt !== null) {
    throw new FettleError({
      code: 'denied',
      message: `The owner of schedule "${schedule.name}" has been revoked.`,
      remedy: 'Apply the schedule again as a principal that may start its runbook.',
    });
  }
  const context: OperationContext = {
    transaction,
    actor: { principalId: owner.id, name: owner.name, kind: owner.kind, requestId: uuidv7() },
    scopeOf: (permission, space) => {
      const decision = decide({ bindings: owner.bindings, permission, space });
      return decision.allowed ? decision.selectors : [];
    },
  };
  if (context.scopeOf('run:start', schedule.space)?.length === 0) {
    throw new FettleError({
      code: 'denied',
      message: `${owner.name} may no longer start runs in space "${schedule.space}".`,
    });
  }
  const { spec } = schedule.document;
  const run = await startRun(
    context,
    { space: schedule.space, runbook: spec.runbook, inputs: spec.inputs, on: spec.targets, allowEmpty: false },
    { idempotencyKey: `fire:${schedule.id}:${nominalAt}`, fire: { scheduleId: schedule.id, at: new Date(nominalAt) } },
  );
  return run.id;
}
