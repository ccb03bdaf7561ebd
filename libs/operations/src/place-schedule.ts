import { compareWaking, wakingCron, wakingSpec, type WakingDifference } from '@fettle/calendar';
import type { ScheduleDocument } from '@fettle/contracts';
import {
  enqueueCommand,
  enqueueWaking,
  findSchedule,
  isPlacing,
  listLeftWakes,
  lockScheduleById,
  saveCompared,
  savePlaced,
  type Transaction,
} from '@fettle/database';
import { digestOf } from '@fettle/runbook';
import { uuidv7 } from 'uuidv7';
import { systemContext } from './context.js';
import { recordAudit } from './record-audit.js';
import { recurrenceOf, timingOf } from './recurrence-of.js';

/**
 * What wakes a schedule, by when it is due: schedules that are due together are woken together, so that a thousand nightly ones cost
 * Temporal what one costs. Jitter hangs on the schedule.
 */
function wakeIdOf(document: ScheduleDocument): string {
  const { metadata, spec } = document;
  const seed = spec.jitter === undefined ? null : `${metadata.space}/${metadata.name}`;
  return `wake-${digestOf({ ...timingOf(document), seed }).slice('sha256:'.length, 'sha256:'.length + 32)}`;
}

/** Has Temporal told, through the outbox, when to wake a schedule: a rule, and single instants where no rule of Temporal's says it. */
export async function placeSchedule(
  transaction: Transaction,
  id: string,
  document: ScheduleDocument,
  now: Date,
): Promise<void> {
  const { waking, placedUntil } = wakingSpec(recurrenceOf(document), now);
  const { spec } = document;
  const wakeId = wakeIdOf(document);
  const payload = { cron: wakingCron(spec), timeZone: spec.timeZone, waking };
  await enqueueWaking(transaction, { kind: 'put-schedule', subject: wakeId, payload }, placedUntil === null);
  await savePlaced(transaction, id, { wakeId, until: placedUntil });
}

/**
 * Has what no schedule is woken by any more deleted in Temporal. Somebody may come to need it in this very moment: the comparison puts
 * that right.
 */
export async function dropLeftWakes(transaction: Transaction, limit: number): Promise<void> {
  for (const subject of await listLeftWakes(transaction, limit))
    await enqueueCommand(transaction, { kind: 'delete-schedule', subject, payload: {} });
}

export interface Placing {
  /** Temporal is told anew. */
  readonly isPlaced: boolean;
  /** What was wrong, in words; null: nothing, it was only time to place further instants. */
  readonly difference: string | null;
}

/**
 * Compares when Temporal will wake a schedule next (null: it does not have it) with the calendar, and has it told anew where they
 * differ or its single instants come to an end. A difference is counted, recorded and returned: the caller raises the alarm.
 */
export async function compareSchedule(
  transaction: Transaction,
  id: string,
  wakings: readonly number[] | null,
  query: {
    /** The entry that Temporal was asked for. */
    readonly wakeId: string | null;
    /** After Temporal was asked. */
    readonly now: Date;
    /** How long ago Temporal was begun to be asked. */
    readonly askedMs: number;
    readonly told: number;
    readonly soonMs: number;
  },
): Promise<Placing> {
  const nothing: Placing = { isPlaced: false, difference: null };
  const key = await lockScheduleById(transaction, id);
  const schedule = key ? await findSchedule(transaction, key) : null;
  if (!schedule || schedule.quarantineReason !== null) return nothing;
  const { placedUntil, wakeId } = schedule;
  // Changed or told anew meanwhile: what Temporal said is of before.
  if (wakeId !== query.wakeId || (wakeId !== null && (await isPlacing(transaction, wakeId, query.askedMs))))
    return nothing;
  if (wakeId === null) {
    // A version that gave each schedule an entry of its own placed it.
    await placeSchedule(transaction, id, schedule.document, query.now);
    return { isPlaced: true, difference: null };
  }
  const found = compareWaking(recurrenceOf(schedule.document), wakings ?? [], { ...query, until: placedUntil });
  const isDue = found?.isDue === true && wakings !== null;
  const difference = found === null || isDue ? null : differenceText(found, wakings === null);
  await saveCompared(transaction, id, difference);
  // Its last single instants are among those that Temporal tells, or come soon.
  const isEnding =
    placedUntil !== null &&
    ((wakings?.length ?? 0) < query.told || placedUntil.getTime() < query.now.getTime() + query.soonMs);
  if (found === null && !isEnding) return nothing;
  await placeSchedule(transaction, id, schedule.document, query.now);
  if (difference === null) return { isPlaced: true, difference: null };
  await recordAudit(systemContext(transaction, uuidv7()), {
    action: 'schedule.mend',
    space: schedule.space,
    object: { kind: 'Schedule', name: schedule.name, id },
    detail: { difference, missing: found?.missing ?? [], extra: found?.extra ?? [] },
  });
  return { isPlaced: true, difference };
}

function differenceText({ missing, extra }: WakingDifference, isAbsent: boolean): string {
  if (isAbsent) return 'Temporal did not have it';
  const first = (what: string, list: readonly string[]): string[] =>
    list.length === 0 ? [] : [`${what} at ${list[0]}${list.length > 1 ? ` and ${list.length - 1} more` : ''}`];
  return [...first('Temporal would not wake it', missing), ...first('Temporal would wake it in vain', extra)].join(
    '; ',
  );
}
