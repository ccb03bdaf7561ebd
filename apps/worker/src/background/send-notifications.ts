import {
  deliverNotification,
  deliverScheduleNotification,
  DELIVERY_TIMEOUT_MS,
  type WorkerServices,
} from '@fettle/activities';
import { takeDueNotifications, takeDueScheduleNotifications, type Transaction } from '@fettle/database';
import type { Logger } from 'pino';
import type { BackgroundName, BackgroundTask } from './run-loop.js';

/** A receiver that does not answer keeps one of these for half a minute. */
const MAX_IN_FLIGHT = 50;
/** Longer than any attempt: who takes it after that knows that this worker is gone. */
const LEASE_MS = DELIVERY_TIMEOUT_MS + 60_000;

export interface NotificationSender {
  readonly task: BackgroundTask;
  /** Ends what is under way, which is given back, and resolves when nothing is. */
  stop(): Promise<void>;
}

/** Tells those whom runbooks name of what became of their runs. */
export function sendNotifications(services: WorkerServices, logger: Pick<Logger, 'warn'>): NotificationSender {
  return senderOf(
    {
      name: 'send-notifications',
      take: takeDueNotifications,
      deliver: (due, signal) => deliverNotification(services, due, signal),
      subjectOf: ({ runId }) => ({ runId }),
    },
    logger,
  );
}

/** Tells those whom schedules name of what became of these. */
export function sendScheduleNotifications(services: WorkerServices, logger: Pick<Logger, 'warn'>): NotificationSender {
  return senderOf(
    {
      name: 'send-schedule-notifications',
      take: takeDueScheduleNotifications,
      deliver: (due, signal) => deliverScheduleNotification(services, due, signal),
      subjectOf: ({ space, schedule }) => ({ space, schedule }),
    },
    logger,
  );
}

interface Source<Due> {
  readonly name: BackgroundName;
  readonly take: (transaction: Transaction, limit: number, leaseMs: number) => Promise<readonly Due[]>;
  readonly deliver: (due: Due, signal: AbortSignal) => Promise<void>;
  /** What the log says of one. */
  readonly subjectOf: (due: Due) => Readonly<Record<string, string>>;
}

/**
 * At least once, each repeat under the same id. It takes what is due in its transaction and calls outside of it, so that a slow
 * receiver holds up neither a run, nor the database, nor others.
 */
function senderOf<Due>(
  { name, take, deliver, subjectOf }: Source<Due>,
  logger: Pick<Logger, 'warn'>,
): NotificationSender {
  const stopping = new AbortController();
  const inFlight = new Set<Promise<void>>();
  return {
    task: {
      name,
      intervalMs: 1000,
      async round(transaction) {
        const room = stopping.signal.aborted ? 0 : MAX_IN_FLIGHT - inFlight.size;
        const due = room > 0 ? await take(transaction, room, LEASE_MS) : [];
        const afterCommit = (): Promise<void> => {
          for (const one of due) {
            const delivery = deliver(one, stopping.signal)
              .catch((error: unknown) => {
                logger.warn({ err: error, ...subjectOf(one) }, 'a notification could not be settled; it comes again');
              })
              .finally(() => inFlight.delete(delivery));
            inFlight.add(delivery);
          }
          return Promise.resolve();
        };
        return { more: false, afterCommit };
      },
    },
    async stop() {
      stopping.abort();
      await Promise.all(inFlight);
    },
  };
}
