import { nextInstants, instants, localTime, scheduleRecurrence, type Instant, type Recurrence } from '@fettle/calendar';
import { afterText, FettleError, type Forecast, type ScheduleAfter } from '@fettle/contracts';
import { listWaitingFires, type StoredSchedule, type Transaction } from '@fettle/database';
import type { WaitingSince } from './forecast-outcomes.js';

/** Instants of one schedule that are looked at; what a schedule by the minute has beyond is said. */
export const MAX_INSTANTS_EACH = 500;

export interface ComingInstant extends Instant {
  /** It waits already, and came earlier; null: it comes. */
  readonly waits: WaitingSince | null;
  /** It is expected because a run of another schedule is expected to have ended then; null: it is an instant, or a fire that waits. */
  readonly follows: ScheduleAfter | null;
}

export interface ComingInstants {
  readonly schedule: StoredSchedule;
  /** Those that wait, then those that come. */
  readonly instants: readonly ComingInstant[];
}

type Idle = Forecast['idle'][number];

interface Range {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Fires that wait, but for those that end with the pause that their schedule is in. */
export async function waitingInstants(
  transaction: Transaction,
  schedule: StoredSchedule,
  { fromMs }: Range,
  limits: string[],
): Promise<ComingInstant[]> {
  if (schedule.waiting === 0 || schedule.quarantineReason !== null) return [];
  const { pausedAt, pausedUntil, document, name } = schedule;
  const isPaused = pausedAt !== null && (pausedUntil === null || pausedUntil.getTime() > fromMs);
  const fires = await listWaitingFires(transaction, schedule.id, MAX_INSTANTS_EACH + 1);
  if (fires.length > MAX_INSTANTS_EACH)
    limits.push(`more than ${MAX_INSTANTS_EACH} fires of schedule ${name} wait: the others were not looked at`);
  return fires
    .slice(0, MAX_INSTANTS_EACH)
    .filter(({ source }) => !isPaused || source === 'trigger')
    .map(({ nominalAt, source, outcome, dueAt }) => {
      const waits = { source, outcome: outcome === 'deferred' ? outcome : ('queued' as const) };
      return {
        at: nominalAt.toISOString(),
        local: localTime(nominalAt, document.spec.timeZone),
        note: '' as const,
        waits: { ...waits, dueMs: dueAt?.getTime() ?? null },
        follows: null,
      };
    });
}

/** The instants of a schedule in [from, to), or why it has none. */
export function comingInstants(schedule: StoredSchedule, range: Range, limits: string[]): ComingInstants | Idle {
  const { name, document, pausedAt, pausedUntil } = schedule;
  if (schedule.quarantineReason !== null)
    return { schedule: name, state: 'quarantined', reason: schedule.quarantineReason, instants: null };
  // From the end of a pause on it starts what comes then.
  const resumesMs = pausedAt === null ? range.fromMs : (pausedUntil?.getTime() ?? range.toMs);
  const fromMs = Math.min(range.toMs, Math.max(range.fromMs, resumesMs));
  let found: Instant[];
  let recurrence: Recurrence;
  try {
    recurrence = scheduleRecurrence(document.spec, `${document.metadata.space}/${name}`);
    found = instantsIn(recurrence, { ...range, fromMs }, MAX_INSTANTS_EACH + 1);
    if (found.length === 0 && fromMs > range.fromMs) {
      const left = instantsIn(recurrence, range, MAX_INSTANTS_EACH + 1);
      return { schedule: name, state: 'paused', reason: pauseText(schedule), instants: left.length };
    }
  } catch (error) {
    if (!(error instanceof FettleError)) throw error;
    return { schedule: name, state: 'quarantined', reason: error.message, instants: null };
  }
  if (fromMs > range.fromMs)
    limits.push(`schedule ${name} is ${pauseText(schedule)}: its instants before are left out`);
  if (found.length > MAX_INSTANTS_EACH) {
    limits.push(
      `schedule ${name} is due more than ${MAX_INSTANTS_EACH} times: looked at up to ${found[MAX_INSTANTS_EACH - 1]?.at ?? ''}`,
    );
  }
  const comes = found.slice(0, MAX_INSTANTS_EACH).map((instant) => ({ ...instant, waits: null, follows: null }));
  if (comes.length > 0) return { schedule, instants: comes };
  const { after, cron, every, rrule, at, monthly } = document.spec;
  if (after !== undefined && [cron, every, rrule, at, monthly].every((one) => one === undefined))
    return { schedule: name, state: 'after', reason: `it is due ${afterText(after)}`, instants: null };
  const [next] = nextInstants({ ...recurrence, after: range.fromMs, count: 1 });
  const reason = next === undefined ? 'it is never due again' : `it is due next at ${next.at}`;
  return { schedule: name, state: 'not-due', reason, instants: 0 };
}

function pauseText({ pausedAt, pausedBy, pauseReason, pausedUntil }: StoredSchedule): string {
  const until = pausedUntil === null ? '' : ` until ${pausedUntil.toISOString()}`;
  return `paused since ${pausedAt?.toISOString() ?? ''}${until} by ${pausedBy ?? 'unknown'}: ${pauseReason ?? ''}`;
}

/** The first `count` instants in the range; `instants` refuses a range that holds more than it returns. */
function instantsIn(recurrence: Recurrence, { fromMs, toMs }: Range, count: number): Instant[] {
  return instants({ ...recurrence, from: fromMs, to: toMs, count });
}
