import { nextInstants, instants, scheduleRecurrence, type Instant, type Recurrence } from '@fettle/calendar';
import { afterText, FettleError, type Forecast } from '@fettle/contracts';
import type { StoredSchedule } from '@fettle/database';

/** Instants of one schedule that are looked at; what a schedule by the minute has beyond is said. */
export const MAX_INSTANTS_EACH = 500;

export interface ComingInstants {
  readonly schedule: StoredSchedule;
  readonly instants: readonly Instant[];
}

type Idle = Forecast['idle'][number];

/** The instants of a schedule in [from, to), or why it has none. */
export function comingInstants(
  schedule: StoredSchedule,
  range: { readonly fromMs: number; readonly toMs: number },
  limits: string[],
): ComingInstants | Idle {
  const { name, document, pausedAt } = schedule;
  if (schedule.quarantineReason !== null)
    return { schedule: name, state: 'quarantined', reason: schedule.quarantineReason, instants: null };
  let found: Instant[];
  let recurrence: Recurrence;
  try {
    recurrence = scheduleRecurrence(document.spec, `${document.metadata.space}/${name}`);
    found = instantsIn(recurrence, range, MAX_INSTANTS_EACH + 1);
  } catch (error) {
    if (!(error instanceof FettleError)) throw error;
    return { schedule: name, state: 'quarantined', reason: error.message, instants: null };
  }
  if (pausedAt !== null) {
    const reason = `paused since ${pausedAt.toISOString()} by ${schedule.pausedBy ?? 'unknown'}: ${schedule.pauseReason ?? ''}`;
    return { schedule: name, state: 'paused', reason, instants: found.length };
  }
  if (found.length > MAX_INSTANTS_EACH) {
    limits.push(
      `schedule ${name} is due more than ${MAX_INSTANTS_EACH} times: looked at up to ${found[MAX_INSTANTS_EACH - 1]?.at ?? ''}`,
    );
    return { schedule, instants: found.slice(0, MAX_INSTANTS_EACH) };
  }
  if (found.length > 0) return { schedule, instants: found };
  const { after, cron, every, rrule, at, monthly } = document.spec;
  if (after !== undefined && [cron, every, rrule, at, monthly].every((one) => one === undefined))
    return { schedule: name, state: 'after', reason: `it is due ${afterText(after)}`, instants: null };
  const [next] = nextInstants({ ...recurrence, after: range.fromMs, count: 1 });
  const reason = next === undefined ? 'it is never due again' : `it is due next at ${next.at}`;
  return { schedule: name, state: 'not-due', reason, instants: 0 };
}

/** The first `count` instants in the range; `instants` refuses a range that holds more than it returns. */
function instantsIn(
  recurrence: Recurrence,
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
  count: number,
): Instant[] {
  return instants({ ...recurrence, from: fromMs, to: toMs, count });
}
