import { setTimeout as sleep } from 'node:timers/promises';
import { lockIdleSchedules, scheduleWaitingForRun, takeDueSchedules, untilNextDue } from '@fettle/database';
import { SCHEDULES_OF_SET, settleFire, settleFires } from '@fettle/operations';
import type { WorkerServices } from '../run/services.js';

/** Transactions at once. */
const LANES = 4;
/** A local activity ends within two seconds; what is left is for the next one. */
const ROUND_MS = 1_500;
/** Temporal's clock may be so much ahead of the database's, which alone says what is due. */
const MAX_AHEAD_MS = 1_000;

/** One that failed is left to the reconciler for so long, however often others are due. */
const REST_MS = 60_000;

/** The activities of schedules, bound to a data source. */
export function scheduleActivities(services: Pick<WorkerServices, 'dataSource' | 'logger'>) {
  /** Until when, by id. */
  const resting = new Map<string, number>();
  return {
    /**
     * Local activity. Settles whatever is due and nobody else settles just now: twice is the same as once. One that fails is left to the
     * reconciler.
     */
    async settleDue(): Promise<{ readonly more: boolean }> {
      const round = new SettleRound(services, resting);
      await round.run();
      if (!round.isInVain) return { more: round.isLeft };
      const aheadMs = await untilNextDue(services.dataSource.manager);
      if (aheadMs === null || aheadMs > MAX_AHEAD_MS) return { more: false };
      await sleep(aheadMs);
      await round.run();
      return { more: round.isLeft };
    },
  };
}

/** Lanes that take what is due until nothing is, or the time is up. */
class SettleRound {
  readonly #services: Pick<WorkerServices, 'dataSource' | 'logger'>;
  readonly #resting: Map<string, number>;
  readonly #untilMs = performance.now() + ROUND_MS;
  readonly #settled = new Set<string>();
  readonly #skipped: string[];
  /** Left of the sets, to be settled one by one; until then no other lane takes them. */
  readonly #alone: string[] = [];
  readonly #aside = new Set<string>();
  /** None was settled. */
  isInVain = true;
  /** The time was up first. */
  isLeft = false;

  constructor(services: Pick<WorkerServices, 'dataSource' | 'logger'>, resting: Map<string, number>) {
    this.#services = services;
    this.#resting = resting;
    for (const [id, untilMs] of resting) if (untilMs <= performance.now()) resting.delete(id);
    this.#skipped = [...resting.keys()];
  }

  async run(): Promise<void> {
    await Promise.all(Array.from({ length: LANES }, () => this.#lane()));
  }

  async #lane(): Promise<void> {
    while (await this.#next()) {
      if (performance.now() < this.#untilMs) continue;
      this.isLeft = true;
      return;
    }
  }

  /** @returns whether there was something */
  async #next(): Promise<boolean> {
    const id = this.#alone.shift();
    if (id === undefined) return this.#settleSet();
    await this.#settleAlone(id);
    return true;
  }

  async #settleSet(): Promise<boolean> {
    let taken: readonly string[] = [];
    try {
      const { settled, alone } = await this.#services.dataSource.transaction(async (transaction) => {
        taken = await takeDueSchedules(transaction, [...this.#skipped, ...this.#aside], SCHEDULES_OF_SET);
        return settleFires(transaction, this.#unsettled(taken));
      });
      for (const [id, more] of settled) this.#note(id, more);
      this.#putAside(alone);
    } catch (error) {
      // Nothing was taken: the database is away, and the activity is tried again.
      if (taken.length === 0) throw error;
      // Whose fault it is shows when each is settled alone.
      this.#putAside(this.#unsettled(taken));
    }
    return taken.length > 0;
  }

  /** Two lanes may have had the same one in their sets, one after the other. */
  #putAside(ids: readonly string[]): void {
    for (const id of ids) {
      if (this.#aside.has(id) || this.#skipped.includes(id)) continue;
      this.#aside.add(id);
      this.#alone.push(id);
    }
  }

  /** What was settled up to now and is due still, whatever the reason, is not settled over and over. */
  #unsettled(taken: readonly string[]): readonly string[] {
    this.#skipped.push(...taken.filter((id) => this.#settled.has(id)));
    return taken.filter((id) => !this.#settled.has(id));
  }

  /** One that is not plain, in a transaction of its own: if it fails, it costs no other anything. */
  async #settleAlone(id: string): Promise<void> {
    let isFound = false;
    try {
      const more = await this.#services.dataSource.transaction(async (transaction) => {
        const [free] = await lockIdleSchedules(transaction, [id]);
        isFound = true;
        return free === undefined ? false : (await settleFire(transaction, free)).more;
      });
      this.#note(id, more);
    } catch (error) {
      // The database is away, and the activity is tried again.
      if (!isFound) throw error;
      this.#skipped.push(id);
      this.#resting.set(id, performance.now() + REST_MS);
      this.#services.logger.warn({ err: error, scheduleId: id }, 'a schedule could not be settled');
    } finally {
      this.#aside.delete(id);
    }
  }

  #note(id: string, more: boolean): void {
    this.isInVain = false;
    if (!more) this.#settled.add(id);
  }
}

export type ScheduleActivities = ReturnType<typeof scheduleActivities>;

/**
 * A run has ended: what its schedule has queued behind it starts now, and not with the next round of the reconciler. That this fails
 * is no fault of the run, and the reconciler comes soon.
 */
export async function settleAfterRun(
  { dataSource, logger }: Pick<WorkerServices, 'dataSource' | 'logger'>,
  runId: string,
): Promise<void> {
  try {
    const scheduleId = await scheduleWaitingForRun(dataSource.manager, runId);
    if (scheduleId === null) return;
    await dataSource.transaction((transaction) => settleFire(transaction, scheduleId));
  } catch (error) {
    logger.warn({ err: error, runId }, 'what waits for the end of this run could not be settled yet');
  }
}
