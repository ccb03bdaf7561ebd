import type { RunActivities } from '@fettle/activities';
import { proxyActivities, proxyLocalActivities } from '@temporalio/workflow';

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

/** Short, idempotent work on Postgres; it is repeated until the database is there. */
export const local = proxyLocalActivities<
  Omit<RunActivities, 'serveLane' | 'runControlStep' | 'lookAtApproval' | 'undoSegment'>
>({
  startToCloseTimeout: '10 seconds',
  retry: { initialInterval: '200ms', backoffCoefficient: 2, maximumInterval: '5 seconds' },
});
