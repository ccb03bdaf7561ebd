import type { CalendarSpec } from '@fettle/contracts';
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
    ...pieces('windows', windows),
    ...pieces('freezes', freezes),
    ...holidays.map((holiday, index) => {
      const [field, source] = fieldOf(holiday);
      return { path: ['holidays', index, field], source, check: () => holidaySpan(holiday, zone) };
    }),
  ];
}

/** The field that says when: it is where a reader looks for what is wrong. */
function fieldOf(span: object): readonly [string, string] {
  for (const key of ['cron', 'every', 'rrule', 'at', 'date', 'from']) {
    const value: unknown = Object.hasOwn(span, key) ? (span as Readonly<Record<string, unknown>>)[key] : undefined;
    if (typeof value === 'string' || typeof value === 'number') return [key, String(value)];
  }
  return ['cron', ''];
}
