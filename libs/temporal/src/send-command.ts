import {
  ScheduleNotFoundError,
  ScheduleOverlapPolicy,
  WorkflowExecutionAlreadyStartedError,
  WorkflowNotFoundError,
  type ScheduleOptions,
} from '@temporalio/client';
import { FettleError, type TemporalCommand } from '@fettle/contracts';
import type { TemporalClient } from './connect.js';
import { scheduleSpec } from './schedule-spec.js';
import { wakingScheduleId } from './waking-schedule-id.js';

/** A call that does not answer is given up after this; the relay tries again. */
const CALL_TIMEOUT_MS = 10_000;

/**
 * Sends one command; sending it again changes nothing, because ids name what it is about. `isHere`: what it starts may begin in this very
 * process, if that serves the queue; otherwise it waits in the queue for whichever worker is free.
 */
export async function sendCommand(temporal: TemporalClient, command: TemporalCommand, isHere = true): Promise<void> {
  const { startsEagerly } = temporal;
  const sender = { ...temporal, startsEagerly: startsEagerly && isHere };
  await temporal.client.withDeadline(Date.now() + CALL_TIMEOUT_MS, () => dispatch(sender, command));
}

async function dispatch(temporal: TemporalClient, command: TemporalCommand): Promise<void> {
  switch (command.kind) {
    case 'start-run':
      return startOnce(temporal, 'runRunbook', command.subject, command.payload);
    case 'enrol-asset':
      return startOnce(temporal, 'enrolAsset', command.subject, command.payload);
    case 'check-plan':
      return startOnce(temporal, 'checkPlan', command.subject, command.payload);
    case 'cancel-run':
      return cancelRun(temporal, command.subject);
    case 'wake-run':
      return wakeRun(temporal, command.subject, command.payload.path);
    case 'put-schedule':
      return putSchedule(temporal, command.subject, command.payload);
    case 'delete-schedule':
      return deleteSchedule(temporal, command.subject);
    default:
      return refuseUnknown(command);
  }
}

/** Left in the outbox by a newer version: it is tried again until a worker of that version takes it, and holds up its subject alone. */
function refuseUnknown(command: never): never {
  throw new FettleError({
    code: 'unknown-command',
    message: `This worker knows no command "${String((command as { kind?: unknown }).kind)}" to Temporal.`,
    remedy: 'Update this worker to the version of the others.',
  });
}

async function startOnce(
  { client, taskQueue, startsEagerly }: TemporalClient,
  workflowType: 'runRunbook' | 'enrolAsset' | 'checkPlan',
  workflowId: string,
  payload: TemporalCommand['payload'],
): Promise<void> {
  try {
    await client.workflow.start(workflowType, {
      workflowId,
      taskQueue,
      args: [payload],
      // A run or an enrolment is one execution for ever; a second start of the id is the same command sent again.
      workflowIdReusePolicy: 'REJECT_DUPLICATE',
      requestEagerStart: startsEagerly,
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
}

async function cancelRun({ client }: TemporalClient, workflowId: string): Promise<void> {
  try {
    await client.workflow.getHandle(workflowId).cancel();
  } catch (error) {
    // Never started, or over: the sweeper settles the row.
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  }
}

async function wakeRun({ client }: TemporalClient, workflowId: string, path: string): Promise<void> {
  try {
    await client.workflow.getHandle(workflowId).signal('wake', path);
  } catch (error) {
    // It is over, and waits for nothing any more.
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  }
}

async function putSchedule(
  temporal: TemporalClient,
  subject: string,
  payload: Extract<TemporalCommand, { kind: 'put-schedule' }>['payload'],
): Promise<void> {
  const { client, taskQueue } = temporal;
  const scheduleId = wakingScheduleId(temporal, subject);
  const options: ScheduleOptions = {
    scheduleId,
    spec: scheduleSpec(payload),
    action: { type: 'startWorkflow', workflowType: 'settleSchedules', workflowId: scheduleId, taskQueue, args: [] },
    // It only wakes: what is due, missed or skipped is decided by settle, so no wake-up is ever suppressed.
    policies: { overlap: ScheduleOverlapPolicy.ALLOW_ALL, catchupWindow: '10 minutes' },
  };
  const handle = client.schedule.getHandle(scheduleId);
  try {
    await handle.update((previous) => ({
      ...previous,
      spec: options.spec,
      action: options.action,
      policies: options.policies!,
      // Pauses are of the ledger's side; one that somebody made with Temporal's own tools would leave it to the reconciler alone.
      state: { ...previous.state, paused: false },
    }));
  } catch (error) {
    if (!(error instanceof ScheduleNotFoundError)) throw error;
    await client.schedule.create(options);
  }
}

async function deleteSchedule(temporal: TemporalClient, subject: string): Promise<void> {
  try {
    await temporal.client.schedule.getHandle(wakingScheduleId(temporal, subject)).delete();
  } catch (error) {
    if (!(error instanceof ScheduleNotFoundError)) throw error;
  }
}
