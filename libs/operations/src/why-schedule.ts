import { instants, nextInstants, previewInstants, previousInstant, type Recurrence } from '@fettle/calendar';
import { afterText, type ScheduleWhy } from '@fettle/contracts';
import {
  findFireAt,
  findNewestFire,
  findRunRow,
  type StoredFire,
  type StoredSchedule,
  type Transaction,
} from '@fettle/database';
import { fireView } from './fire-view.js';
import { requireSchedule, type ScheduleKey } from './list-schedules.js';
import { recurrenceOf } from './recurrence-of.js';

/**
 * One sentence on what became of a moment of a schedule, or of its last instant, with the row that it rests on.
 * @throws FettleError `not-found`
 */
export async function whySchedule(
  transaction: Transaction,
  key: ScheduleKey,
  query: { readonly at?: string | undefined },
): Promise<ScheduleWhy> {
  const schedule = await requireSchedule(transaction, key);
  const at = query.at === undefined ? null : new Date(query.at);
  if (schedule.quarantineReason !== null && (at === null || at > schedule.watermark)) {
    const answer = `${key.name} is quarantined and starts nothing: ${schedule.quarantineReason}.`;
    return { schedule: key.name, at: at?.toISOString() ?? null, answer, fire: null };
  }
  const fire = await (at === null
    ? findNewestFire(transaction, schedule.id)
    : findFireAt(transaction, schedule.id, at));
  if (fire && (at === null || isOf(schedule, fire, at))) {
    const asked = at ?? fire.lastNominalAt ?? fire.nominalAt;
    const sentence = await fireSentence(transaction, schedule, fire, asked);
    const answer = at === null ? `${sentence}${pausedNow(schedule)}` : sentence;
    return { schedule: key.name, at: asked.toISOString(), answer, fire: fireView(fire) };
  }
  const answer = momentSentence(schedule, recurrenceOf(schedule.document), at);
  return { schedule: key.name, at: at?.toISOString() ?? null, answer, fire: null };
}

/** A stretch stands for its instants, not for the moments between them; of one from an earlier timing it cannot be told any more. */
function isOf(
  { countedFrom, quarantineReason, document }: StoredSchedule,
  { nominalAt }: StoredFire,
  at: Date,
): boolean {
  if (nominalAt.getTime() === at.getTime() || (countedFrom !== null && nominalAt <= countedFrom)) return true;
  if (quarantineReason !== null) return true;
  return instants({ ...recurrenceOf(document), from: at, to: at.getTime() + 1 }).length > 0;
}

async function fireSentence(
  transaction: Transaction,
  schedule: StoredSchedule,
  fire: StoredFire,
  at: Date,
): Promise<string> {
  const { name } = schedule;
  const { outcome, reason, runId, source, instants: count, waited } = fire;
  const what =
    source === 'trigger'
      ? `${name} was triggered at ${at.toISOString()} by ${textOf(fire.evidence['triggeredBy'])}`
      : source === 'after'
        ? `${name} was due at ${localText(at, schedule)}, when run ${textOf(fire.evidence['followedRun'])} of ${textOf(fire.evidence['followedSchedule'])} had ended,`
        : `${name} was due at ${localText(at, schedule)}`;
  const filled = source === 'backfill' ? ', was filled in later' : '';
  const stretch = count > 1 ? `; the same holds for ${count} instants in a row, ${span(fire)}` : '';
  if (runId !== null) {
    const state = (await findRunRow(transaction, runId))?.state;
    const after = Math.max(0, Math.round((fire.settledAt.getTime() - fire.nominalAt.getTime()) / 1000));
    const waiting = waited === null ? '' : ` after it had been ${waited}`;
    return `${what}${filled} and started run ${runId} ${after} s later${waiting} (${reason}); the run is ${state ?? 'gone'} now.`;
  }
  if (outcome === 'queued' || outcome === 'deferred') return `${what} and is ${outcome}: ${reason}.`;
  const paused = fire.code === 'paused' ? pauseText(fire) : '';
  const runs = openRunsText(fire);
  const waiting = waited === null ? '' : ` after it had been ${waited}`;
  return `${what}${filled} and was ${outcome}${waiting}: ${reason}${paused}${runs}${stretch}.`;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : 'somebody';
}

function span({ nominalAt, lastNominalAt }: StoredFire): string {
  return `from ${nominalAt.toISOString()} to ${(lastNominalAt ?? nominalAt).toISOString()}`;
}

function pauseText({ evidence }: StoredFire): string {
  const { pausedBy, pauseReason } = evidence;
  if (typeof pausedBy !== 'string') return '';
  return ` by ${pausedBy}${typeof pauseReason === 'string' && pauseReason !== '' ? ` (${pauseReason})` : ''}`;
}

function openRunsText({ evidence }: StoredFire): string {
  const { openRuns } = evidence;
  return Array.isArray(openRuns) && openRuns.length > 0 ? ` (run ${openRuns.map(String).join(', ')})` : '';
}

/** Of a moment that no row stands for. */
function momentSentence(schedule: StoredSchedule, recurrence: Recurrence, at: Date | null): string {
  const { name, countedFrom, watermark } = schedule;
  const [next] = nextInstants({ ...recurrence, after: at ?? watermark, count: 1 });
  const { after } = schedule.document.spec;
  const never = after === undefined ? 'it is never due again' : `it is due ${afterText(after)}`;
  const nextText = next === undefined ? never : `the next instant is ${localText(new Date(next.at), schedule)}`;
  if (at === null) return `${name} has not been due yet; ${nextText}.${pausedNow(schedule)}`;
  const skipped = skippedText(schedule, recurrence, at);
  if (skipped !== null) return skipped;
  const isInstant = instants({ ...recurrence, from: at, to: at.getTime() + 1 }).length > 0;
  if (isInstant && at > watermark) {
    const isPaused = schedule.pausedAt !== null && (schedule.pausedUntil === null || at < schedule.pausedUntil);
    const paused = isPaused ? pausedNow(schedule) : '';
    return `${name} is due at ${localText(at, schedule)}, which has not been settled yet.${paused}`;
  }
  if (countedFrom !== null && at <= countedFrom) {
    return `${name} has been due as it is now since ${countedFrom.toISOString()}, and has no record of ${at.toISOString()}.`;
  }
  const previous = previousInstant({ ...recurrence, before: at });
  const before = previous === null ? '' : `; the instant before was ${localText(new Date(previous.at), schedule)}`;
  return `${at.toISOString()} is no instant of ${name}${before}, and ${nextText}.`;
}

/** Another sentence: that it is paused, and what of it that is the end of. */
function pausedNow({ pausedAt, pausedBy, pausedUntil, pauseReason }: StoredSchedule): string {
  if (pausedAt === null) return '';
  const why = pauseReason === null || pauseReason === '' ? '' : ` (${pauseReason})`;
  const until = pausedUntil === null ? 'until somebody resumes it' : `until ${pausedUntil.toISOString()}`;
  return ` It is paused by ${pausedBy ?? 'somebody'}${why} ${until}, and what is due before that is skipped.`;
}

const skips: Readonly<Record<string, string>> = {
  'gap-skipped': 'the clock leaves that time out, and the schedule says to skip it',
  'gap-merged': 'the clock leaves that time out, and it was shifted onto another instant',
  'overlap-skipped': 'the clock repeats that time, and the schedule takes the other of the two',
  excluded: 'the schedule excludes it',
};

function skippedText(schedule: StoredSchedule, recurrence: Recurrence, at: Date): string | null {
  const rows = previewInstants({ ...recurrence, from: at, count: 1 });
  const row = rows.find((one) => Date.parse(one.at) === at.getTime());
  const text = row === undefined ? undefined : skips[row.note];
  return text === undefined ? null : `${schedule.name} was not due at ${localText(at, schedule)}: ${text}.`;
}

function localText(at: Date, { document }: StoredSchedule): string {
  const { timeZone } = document.spec;
  const utc = at.toISOString().replace('.000Z', 'Z');
  if (timeZone === 'UTC') return utc;
  const local = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  }).format(at);
  return `${utc} (${local} ${timeZone})`;
}
