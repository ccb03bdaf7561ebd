import { FettleError, type CalendarSpec } from '@fettle/contracts';
import type { TimingCheck } from './schedule-recurrence.js';
import { holidaySpan, spanOf } from './window-span.js';
import { assertTimeZone, isTimeZone } from './zone.js';

/** Every piece of a calendar that can be wrong by itself. The zone of a span is told where the span names it, the calendar's once. */
export function calendarChecks(spec: CalendarSpec): readonly TimingCheck[] {
  const { timeZone, siteTimeZones = {}, windows = [], freezes = [], holidays = [] } = spec;
  const zone = isTimeZone(timeZone) ? timeZone : 'UTC';
  const pieces = (kind: 'windows' | 'freezes', spans: readonly Parameters<typeof spanOf>[0][]): TimingCheck[] =>
    spans.map((span, index) => {
      const [field, source] = fieldOf(span);
      return { path: [kind, index, field], source, check: () => spanOf(span, zone) };
    });
  return [
    { path: ['timeZone'], source: timeZone, check: () => assertTimeZone(timeZone) },
    ...Object.entries(siteTimeZones).map(([site, name]) => ({
      path: ['siteTimeZones', site],
      source: name,
      check: () => assertTimeZone(name),
    })),
    ...crowded(spec),
    ...pieces('windows', windows),
    ...pieces('freezes', freezes),
    ...holidays.map((holiday, index) => {
      const [field, source] = fieldOf(holiday);
      return { path: ['holidays', index, field], source, check: () => holidaySpan(holiday, zone) };
    }),
  ];
}

/** Windows, freezes and holidays of a calendar that come again: each is looked at several times by each claim. */
export const MAX_RECURRING_SPANS = 200;

/** Where a calendar has more that come again than a claim can look at. */
function crowded({ windows = [], freezes = [], holidays = [] }: CalendarSpec): readonly TimingCheck[] {
  const kinds = { windows, freezes, holidays };
  const recurring = Object.entries(kinds).flatMap(([kind, spans]) =>
    spans.flatMap((span, index) => (isRecurring(span) ? [{ kind, span, index }] : [])),
  );
  const beyond = recurring[MAX_RECURRING_SPANS];
  if (beyond === undefined) return [];
  const [field, source] = fieldOf(beyond.span);
  const check = (): never => {
    throw new FettleError({
      code: 'invalid-schedule',
      message: `${recurring.length} windows, freezes and holidays come again; a calendar may have ${MAX_RECURRING_SPANS} of those`,
      remedy: 'Say several with one cron or rrule, write fixed times as from and to, or make several calendars.',
    });
  };
  return [{ path: [beyond.kind, beyond.index, field], source, check }];
}

function isRecurring(span: object): boolean {
  return ['from', 'date', 'at'].every((key) => !Object.hasOwn(span, key));
}

/** The field that says when: it is where a reader looks for what is wrong. */
function fieldOf(span: object): readonly [string, string] {
  for (const key of ['cron', 'every', 'rrule', 'at', 'date', 'from']) {
    const value: unknown = Object.hasOwn(span, key) ? (span as Readonly<Record<string, unknown>>)[key] : undefined;
    if (typeof value === 'string' || typeof value === 'number') return [key, String(value)];
  }
  return ['cron', ''];
}
