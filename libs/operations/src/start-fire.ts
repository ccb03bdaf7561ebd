import { FettleError } from '@fettle/contracts';
import {
  findPrincipalById,
  setRunSchedule,
  type FireSource,
  type StoredSchedule,
  type Transaction,
} from '@fettle/database';
import { decide } from '@fettle/security';
import { uuidv7 } from 'uuidv7';
import type { OperationContext } from './context.js';
import { startRun, type StartOptions } from './start-run.js';

/** A fire that is to start a run now. */
export interface StartingFire {
  readonly nominalAt: string;
  readonly source: FireSource;
  /** Null: whoever owns the schedule. */
  readonly requestedBy: string | null;
  readonly requestKey: string | null;
}

/** What a run of a schedule is asked for. */
export function scheduledRequest({ space, name, document }: StoredSchedule, source: FireSource) {
  const { runbook, inputs, targets } = document.spec;
  const request = { space, runbook, inputs, on: targets, allowEmpty: false };
  return source === 'nominal' ? request : { ...request, reason: `schedule ${name}` };
}

/** What a schedule says of calendars: it holds for its runs. */
export function calendarOptions({ document }: StoredSchedule): Pick<StartOptions, 'schedule'> {
  const { calendars, onClose } = document.spec;
  return { schedule: { calendars, onClose } };
}

/**
 * Starts the run of a fire on behalf of the schedule's owner, or of who asked for it, with the rights that he has now.
 * @throws FettleError as `startRun`, and `denied` where he has been revoked
 */
export async function startFire(
  transaction: Transaction,
  schedule: StoredSchedule,
  fire: StartingFire,
): Promise<string> {
  const context = await fireContext(transaction, schedule, fire.requestedBy ?? schedule.createdBy);
  const { nominalAt, source, requestKey } = fire;
  const request = scheduledRequest(schedule, source);
  const options = calendarOptions(schedule);
  if (source === 'trigger') {
    const key = requestKey === null ? {} : { idempotencyKey: requestKey };
    const run = await startRun(context, request, { ...options, ...key });
    await setRunSchedule(transaction, run.id, schedule.id);
    return run.id;
  }
  const run = await startRun(context, request, fireOptions(schedule, { nominalAt, source }));
  return run.id;
}

/** How the run of an instant is started, or of one that is filled in. */
export function fireOptions(
  schedule: StoredSchedule,
  { nominalAt, source }: Pick<StartingFire, 'nominalAt' | 'source'>,
): StartOptions {
  return {
    ...calendarOptions(schedule),
    // Keys that begin with `fire:` are taken from nobody else.
    idempotencyKey: `fire:${schedule.id}:${nominalAt}${source === 'nominal' ? '' : `:${source}`}`,
    fire: { scheduleId: schedule.id, at: new Date(nominalAt) },
  };
}

/** On whose behalf a schedule starts a run. @throws FettleError `denied` */
export async function fireContext(
  transaction: Transaction,
  schedule: StoredSchedule,
  principalId: string,
): Promise<OperationContext> {
  const principal = await findPrincipalById(transaction, principalId);
  if (!principal || principal.revokedAt !== null) {
    throw new FettleError({
      code: 'denied',
      message: `The owner of schedule "${schedule.name}" has been revoked.`,
      remedy: 'Apply the schedule again as a principal that may start its runbook.',
    });
  }
  const context: OperationContext = {
    transaction,
    actor: { principalId: principal.id, name: principal.name, kind: principal.kind, requestId: uuidv7() },
    scopeOf: (permission, space) => {
      const decision = decide({ bindings: principal.bindings, permission, space });
      return decision.allowed ? decision.selectors : [];
    },
  };
  if (context.scopeOf('run:start', schedule.space)?.length === 0) {
    throw new FettleError({
      code: 'denied',
      message: `${principal.name} may no longer start runs in space "${schedule.space}".`,
    });
  }
  return context;
}
