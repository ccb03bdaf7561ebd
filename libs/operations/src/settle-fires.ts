import { alwaysOpen, nextInstants, type CalendarGate, type Recurrence, type Settlement } from '@fettle/calendar';
import { FettleError, scheduleDocumentSchema } from '@fettle/contracts';
import {
  insertFiresOfSchedules,
  readRunsOfSchedules,
  readSchedules,
  saveSettledSchedules,
  type NewFire,
  type ScheduleRuns,
  type StoredSchedule,
  type Transaction,
} from '@fettle/database';
import { recurrenceOf } from './recurrence-of.js';
import { readScheduleGate } from './schedule-gate.js';
import { isIdle, isStarting, ledgerRow, settleSituation } from './settle-situation.js';
import { startFires } from './start-fires.js';

/** Schedules that one transaction settles: enough that what each costs is its own work, few enough that nobody waits for their locks. */
export const SCHEDULES_OF_SET = 50;

export interface SettledSet {
  /** By schedule, whether there are more instants up to now: settle it again. */
  readonly settled: ReadonlyMap<string, boolean>;
  /** Nothing was done about these: they are to be settled each in a transaction of its own, with `settleFire`. */
  readonly alone: readonly string[];
}

/** What was decided of one schedule. */
interface Decided {
  readonly schedule: StoredSchedule;
  readonly settlement: Settlement;
  readonly fires: readonly NewFire[];
  readonly nextAt: string | null;
}

/**
 * Settles schedules that the transaction has locked, as `settleFire` does each: the same is decided, and the same rows are written, but
 * with one statement a table for all of them. Only what is plain is settled here: what is paused, waits, failed, cancels another, cannot
 * be read or may not start is left alone, as if it had not been asked for. Another `givenNow` is for tests.
 */
export async function settleFires(
  transaction: Transaction,
  scheduleIds: readonly string[],
  givenNow?: Date,
): Promise<SettledSet> {
  const schedules = await readSchedules(transaction, scheduleIds);
  const runs = await readRunsOfSchedules(transaction, scheduleIds);
  const gates = new Map<string, CalendarGate>();
  const decided: Decided[] = [];
  for (const stored of schedules) {
    const known = runs.get(stored.id);
    const one = known === undefined ? null : await decide(transaction, { stored, runs: known, gates, givenNow });
    if (one !== null) decided.push(one);
  }
  const starting = decided.flatMap(({ schedule, fires }) =>
    fires.filter(isStarting).map(({ nominalAt }) => ({ schedule, nominalAt })),
  );
  const started = await startFires(transaction, starting);
  const kept = decided.filter(({ schedule, fires }) => started.has(schedule.id) || !fires.some(isStarting));
  await insertFiresOfSchedules(
    transaction,
    kept.flatMap(({ schedule, fires }) =>
      fires.map((fire) => ({
        ...fire,
        scheduleId: schedule.id,
        runId: isStarting(fire) ? (started.get(schedule.id) ?? null) : null,
      })),
    ),
  );
  await saveSettledSchedules(
    transaction,
    kept.map(({ schedule: { id }, settlement: { watermark }, nextAt }) => ({ id, watermark, nextAt, attendAt: null })),
  );
  const settled = new Map(kept.map(({ schedule, settlement }) => [schedule.id, settlement.more]));
  return { settled, alone: scheduleIds.filter((id) => !settled.has(id)) };
}

/** Null: it is not plain. */
async function decide(
  transaction: Transaction,
  {
    stored,
    runs,
    gates,
    givenNow,
  }: {
    readonly stored: StoredSchedule;
    readonly runs: ScheduleRuns;
    readonly gates: Map<string, CalendarGate>;
    readonly givenNow: Date | undefined;
  },
): Promise<Decided | null> {
  if (stored.quarantineReason !== null || stored.pausedAt !== null || stored.waiting > 0 || runs.failed !== null)
    return null;
  const parsed = scheduleDocumentSchema.safeParse(stored.document);
  if (!parsed.success) return null;
  const schedule = { ...stored, document: parsed.data };
  try {
    const recurrence = recurrenceOf(schedule.document);
    const situation = { schedule, recurrence, runs, waiting: [], now: givenNow ?? schedule.readAt };
    const gate = isIdle(situation) ? alwaysOpen : await gateOf(transaction, schedule, gates);
    const settlement = settleSituation({ ...situation, gate }, null);
    return plain(schedule, recurrence, settlement, runs);
  } catch (error) {
    // Whatever is wrong with it, is found again and told when it is settled alone.
    if (error instanceof FettleError) return null;
    throw error;
  }
}

function plain(
  schedule: StoredSchedule,
  recurrence: Recurrence,
  settlement: Settlement,
  { openRunIds }: ScheduleRuns,
): Decided | null {
  const { decisions, ends, cancelRunning, watermark } = settlement;
  if (cancelRunning || ends.length > 0 || decisions.some(({ extendsLast }) => extendsLast)) return null;
  const fires = decisions.map((decision) =>
    ledgerRow({ ...decision, source: 'nominal', before: undefined }, { ...schedule, openRunIds }),
  );
  if (fires.filter(isStarting).length > 1) return null;
  const [next] = nextInstants({ ...recurrence, after: watermark, count: 1 });
  return { schedule, settlement, fires, nextAt: next?.at ?? null };
}

/** Schedules that would start the same go by the same calendars: to read them may take a look at each asset. */
async function gateOf(
  transaction: Transaction,
  schedule: StoredSchedule,
  gates: Map<string, CalendarGate>,
): Promise<CalendarGate> {
  const { runbook, targets, calendars } = schedule.document.spec;
  const key = JSON.stringify([schedule.space, runbook, targets, calendars]);
  const known = gates.get(key);
  if (known !== undefined) return known;
  const gate = await readScheduleGate(transaction, schedule);
  gates.set(key, gate);
  return gate;
}
