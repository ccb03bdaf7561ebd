import type { DataSource } from 'typeorm';
import type { Transaction } from '@fettle/database';
import type { Logger } from 'pino';

/** Keys of the advisory locks: of several workers, one does each background task at a time. */
export const backgroundLocks = {
  'relay-outbox': 7_070_010,
  'sweep-runs': 7_070_011,
  'seal-audit': 7_070_012,
  'settle-schedules': 7_070_013,
  'keep-partitions': 7_070_014,
  'send-notifications': 7_070_018,
  'free-capacity': 7_070_015,
  'archive-histories': 7_070_019,
  'follow-schedules': 7_070_020,
  'watch-deadlines': 7_070_021,
  'compare-schedules': 7_070_053,
  'send-schedule-notifications': 7_070_067,
  'forget-schedule-news': 7_070_068,
  'forget-patches': 7_070_086,
} as const;
export type BackgroundName = keyof typeof backgroundLocks;

export interface BackgroundTask {
  readonly name: BackgroundName;
  readonly intervalMs: number;
  /** One round inside a transaction that holds the task's lock. */
  readonly round: (transaction: Transaction) => Promise<Round>;
}

export interface Round {
  /** There is more to do: go on at once. */
  readonly more: boolean;
  /** Done once the round's transaction has committed. */
  readonly afterCommit?: () => Promise<void>;
}

export const idleRound: Round = { more: false };

export interface BackgroundLoop {
  /** Does a round soon. */
  wake(): void;
  stop(): Promise<void>;
}

const MAX_BACKOFF_MS = 10_000;

/** Repeats a task for as long as the process lives; an error is logged and the next round comes later. */
export function startLoop(dataSource: DataSource, task: BackgroundTask, logger: Logger): BackgroundLoop {
  let stopped = false;
  let woken = false;
  let interrupt: (() => void) | null = null;
  const wait = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      interrupt = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  const loop = async (): Promise<void> => {
    let failures = 0;
    while (!stopped) {
      woken = false;
      try {
        const { more, afterCommit } = await dataSource.transaction(async (transaction) => {
          const rows: { held: boolean }[] = await transaction.query('SELECT pg_try_advisory_xact_lock($1) AS held', [
            backgroundLocks[task.name],
          ]);
          return rows[0]?.held === true ? task.round(transaction) : idleRound;
        });
        await afterCommit?.();
        failures = 0;
        if (!more && !woken && !stopped) await wait(task.intervalMs);
      } catch (error) {
        failures += 1;
        logger.warn({ err: error, task: task.name }, 'a background task failed and will be tried again');
        if (!stopped) await wait(Math.min(MAX_BACKOFF_MS, 250 * 2 ** Math.min(failures, 6)));
      }
    }
  };
  const done = loop();
  return {
    wake() {
      woken = true;
      interrupt?.();
    },
    async stop() {
      stopped = true;
      interrupt?.();
      await done;
    },
  };
}
