import { setImmediate } from 'node:timers/promises';
import { calendarText, timingText, type CalendarEvent } from '@fettle/calendar';
import {
  findFeed,
  listEndedDurations,
  listScheduleRows,
  listScheduleVersions,
  touchFeed,
  type StoredSchedule,
  type Transaction,
} from '@fettle/database';
import { hashToken, parseToken, tokenMatches } from '@fettle/security';
import { DURATIONS_AMONG, DURATIONS_EACH } from './forecast-coming.js';
import { expectedDuration } from './forecast-outcomes.js';
import { comingInstants } from './forecast-schedules.js';
import { ownerMayRead } from './schedule-feeds.js';

const DAY_MS = 86_400_000;
/** Days before and after today that a feed shows. */
const [DAYS_BEFORE, DAYS_AFTER] = [1, 62];
export const MAX_FEED_SCHEDULES = 500;
export const MAX_FEED_EVENTS = 2000;
/** Of one schedule: one by the minute would leave no room for the others. */
export const MAX_FEED_EVENTS_EACH = 200;
const REFRESH_MINUTES = 60;

export interface FeedBody {
  /** `text/calendar` in UTF-8. */
  readonly text: string;
  /** Quoted; the same for the same text. */
  readonly etag: string;
}

/**
 * The schedules of the feed's space as an iCalendar object; null for a token that is unknown, malformed or revoked, and where its owner
 * may not see the schedules any more. Within a day the text is the same unless schedules change or their runs take another time.
 */
export async function readFeed(transaction: Transaction, token: string, now: Date): Promise<FeedBody | null> {
  const parsed = parseToken(token);
  if (!parsed) return null;
  const feed = await findFeed(transaction, parsed.id);
  if (!feed || !tokenMatches(token, feed.hash) || feed.revokedAt !== null) return null;
  if (!(await ownerMayRead({ transaction }, feed))) return null;
  await touchFeed(transaction, feed.id);
  const { space } = feed;
  const today = Math.floor(now.getTime() / DAY_MS) * DAY_MS;
  const range = { fromMs: today - DAYS_BEFORE * DAY_MS, toMs: today + DAYS_AFTER * DAY_MS };
  const schedules = await listScheduleRows(transaction, { space, after: null, limit: MAX_FEED_SCHEDULES + 1 });
  const limits =
    schedules.length > MAX_FEED_SCHEDULES ? [`Only the first ${MAX_FEED_SCHEDULES} schedules by name are here.`] : [];
  const listed = schedules.slice(0, MAX_FEED_SCHEDULES);
  const versions = await listScheduleVersions(
    transaction,
    listed.map(({ id }) => id),
  );
  const durations = await listEndedDurations(transaction, { space, among: DURATIONS_AMONG, each: DURATIONS_EACH });
  const events: CalendarEvent[] = [];
  for (const schedule of listed) {
    const of = (rows: typeof durations): number[] => rows.map(({ durationMs }) => durationMs);
    const all = durations.filter(({ runbook }) => runbook === schedule.document.spec.runbook);
    const { medianMs } = expectedDuration(of(all.filter((one) => one.scheduleId === schedule.id)), of(all));
    events.push(...eventsOf(schedule, { range, medianMs, version: versions.get(schedule.id) }, limits));
    await setImmediate();
  }
  events.sort((left, right) => left.startMs - right.startMs || (left.uid < right.uid ? -1 : 1));
  if (events.length > MAX_FEED_EVENTS) limits.push(`Only the first ${MAX_FEED_EVENTS} instants are here.`);
  const text = calendarText({
    name: `Fettle: ${space}`,
    description: ['What is due, by the schedules of Fettle. A calendar program may show it late.', ...limits].join(
      '\n',
    ),
    refreshMinutes: REFRESH_MINUTES,
    events: events.slice(0, MAX_FEED_EVENTS),
  });
  return { text, etag: `"${hashToken(text).toString('base64url').slice(0, 27)}"` };
}

interface EventFacts {
  readonly range: { readonly fromMs: number; readonly toMs: number };
  readonly medianMs: number | null;
  readonly version: { readonly number: number; readonly createdAt: Date } | undefined;
}

function eventsOf(
  schedule: StoredSchedule,
  { range, medianMs, version }: EventFacts,
  limits: string[],
): CalendarEvent[] {
  const { pausedAt, pausedUntil } = schedule;
  const found = comingInstants({ ...schedule, pausedAt: null }, range, []);
  if ('state' in found) return [];
  const { spec, metadata } = schedule.document;
  if (found.instants.length > MAX_FEED_EVENTS_EACH)
    limits.push(`${schedule.name} is due more often than the ${MAX_FEED_EVENTS_EACH} instants that are here.`);
  return found.instants.slice(0, MAX_FEED_EVENTS_EACH).map(({ at, local, note }) => {
    const startMs = Date.parse(at);
    const isPaused = pausedAt !== null && (pausedUntil === null || startMs < pausedUntil.getTime());
    const lines = [
      `Runbook ${spec.runbook}`,
      `${timingText(spec)} (${spec.timeZone}): ${local.slice(0, 16).replace('T', ' ')}${note === '' ? '' : `, ${note}`}`,
      ...(isPaused ? [`Paused: ${schedule.pauseReason ?? ''}`] : []),
      ...(metadata.description === undefined ? [] : [metadata.description]),
    ];
    return {
      uid: `${schedule.id}-${at.replace(/[-:]/g, '')}@fettle`,
      startMs,
      endMs: medianMs === null ? null : startMs + Math.max(60_000, medianMs),
      stampMs: (version?.createdAt ?? new Date(0)).getTime(),
      sequence: version?.number ?? 0,
      summary: isPaused ? `${schedule.name} (paused)` : schedule.name,
      description: lines.join('\n'),
      status: isPaused ? ('TENTATIVE' as const) : ('CONFIRMED' as const),
      categories: ['Fettle', spec.runbook],
    };
  });
}
