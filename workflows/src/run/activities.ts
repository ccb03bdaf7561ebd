import type { RunActivities } from '@fettle/activities';
import { proxyActivities, proxyLocalActivities } from '@temporalio/workflow';
import { Turns } from './turns.js';

/** A lost worker is noticed this long after its last heartbeat. */
const HEARTBEAT_TIMEOUT = '8 seconds';

/** Work on hosts and services, with a heartbeat. */
export const remote = proxyActivities<
  Pick<RunActivities, 'serveLane' | 'runControlStep' | 'lookAtApproval' | 'undoSegment'>
>({
  // A command without a limit of its own may hold its lane for as long as the longest step.
  startToCloseTimeout: '25 hours',
  heartbeatTimeout: HEARTBEAT_TIMEOUT,
  cancellationType: 'WAIT_CANCELLATION_COMPLETED',
  retry: { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: '10 seconds' },
});

/** Stops what runs detached; bounded, since a host may not answer. */
export const ending = proxyActivities<Pick<RunActivities, 'serveLane'>>({
  scheduleToCloseTimeout: '15 minutes',
  startToCloseTimeout: '10 minutes',
  heartbeatTimeout: HEARTBEAT_TIMEOUT,
  retry: { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: '10 seconds' },
});

type LocalActivities = Omit<RunActivities, 'serveLane' | 'runControlStep' | 'lookAtApproval' | 'undoSegment'>;

const beside = proxyLocalActivities<LocalActivities>({
  startToCloseTimeout: '10 seconds',
  retry: { initialInterval: '200ms', backoffCoefficient: 2, maximumInterval: '5 seconds' },
});

/** Modules of a workflow are evaluated for each execution of it: these are of one run. */
const turns = new Turns();

type AnyActivity = (...args: readonly unknown[]) => Promise<unknown>;

/** Short, idempotent work on Postgres, one after the other; it is repeated until the database is there. */
export const local = new Proxy(beside, {
  get(target, name) {
    const activity = Reflect.get(target, name) as AnyActivity;
    return (...args: readonly unknown[]) => turns.take(() => activity(...args));
  },
});
