import { listToCompare } from '@fettle/database';
import { compareSchedule, dropLeftWakes } from '@fettle/operations';
import { readNextWakings, TOLD_INSTANTS, type TemporalClient } from '@fettle/temporal';
import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import { RestList } from './rest-list.js';
import type { BackgroundTask } from './run-loop.js';

/** Each schedule is looked at once in this time; those whose single instants end soon, with each round. */
const SEEN_MS = 60_000;
const PLACED_MS = 30_000;
const BATCH = 50;

/**
 * Compares when Temporal will wake each schedule with what the calendar says, has it told anew where they differ, and raises the alarm.
 * Also places further instants of schedules that Temporal has no rule for, and has entries deleted that no schedule needs any more.
 */
export function compareSchedules(
  dataSource: DataSource,
  temporal: TemporalClient,
  logger: Pick<Logger, 'warn'>,
): BackgroundTask {
  const failed = new RestList();
  return {
    name: 'compare-schedules',
    intervalMs: 5_000,
    async round(transaction) {
      const every = { seenMs: SEEN_MS, placedMs: PLACED_MS };
      const rows = await listToCompare(transaction, every, failed.resting(Date.now()), BATCH);
      // Schedules that are woken together are compared with one answer.
      const asked = new Map<string, Asked>();
      for (const { id, space, name, wakeId } of rows) {
        try {
          const { wakings, askedAtMs } = await ask(temporal, wakeId, asked);
          const { difference } = await dataSource.transaction((own) =>
            compareSchedule(own, id, wakings, {
              ...{ wakeId, now: new Date(), askedMs: performance.now() - askedAtMs },
              ...{ told: TOLD_INSTANTS, soonMs: PLACED_MS },
            }),
          );
          if (difference !== null)
            logger.warn({ space, schedule: name, difference }, 'Temporal and the calendar differed about a schedule');
          failed.succeed(id);
        } catch (error) {
          const count = failed.fail(id, Date.now());
          logger.warn({ err: error, space, schedule: name, count }, 'a schedule could not be compared with Temporal');
        }
      }
      await dropLeftWakes(transaction, BATCH);
      return { more: rows.length === BATCH };
    },
  };
}

interface Asked {
  readonly wakings: readonly number[] | null;
  readonly askedAtMs: number;
}

async function ask(temporal: TemporalClient, wakeId: string | null, asked: Map<string, Asked>): Promise<Asked> {
  const askedAtMs = performance.now();
  if (wakeId === null) return { wakings: null, askedAtMs };
  const known = asked.get(wakeId) ?? { wakings: await readNextWakings(temporal, wakeId), askedAtMs };
  asked.set(wakeId, known);
  return known;
}
