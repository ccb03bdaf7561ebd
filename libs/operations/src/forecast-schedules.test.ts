import { describe, expect, it } from '@jest/globals';
import { scheduleDocumentSchema } from '@fettle/contracts';
import type { StoredSchedule } from '@fettle/database';
import { systemContext } from './context.js';
import { ForecastCalendars } from './forecast-gate.js';
import { comingInstants } from './forecast-schedules.js';

const fromMs = Date.UTC(2026, 10, 23);
const range = { fromMs, toMs: fromMs + 3 * 86_400_000 };

function daily(more: Partial<StoredSchedule> = {}, spec: object = {}): StoredSchedule {
  const document = scheduleDocumentSchema.parse({
    apiVersion: 'fettle/v1',
    kind: 'Schedule',
    metadata: { name: 'daily' },
    spec: { runbook: 'r', cron: '0 12 * * *', timeZone: 'UTC', ...spec },
  });
  const none = { pausedAt: null, pausedBy: null, pauseReason: null, pausedUntil: null, quarantineReason: null };
  return { id: 'i', space: 'default', name: 'daily', waiting: 0, document, ...none, ...more } as StoredSchedule;
}
const paused = (until: string | null): StoredSchedule =>
  daily({
    pausedAt: new Date(fromMs - 1000),
    pausedBy: 'olga',
    pauseReason: 'holiday',
    pausedUntil: until === null ? null : new Date(until),
  });
function found(schedule: StoredSchedule): { readonly what: string; readonly limits: readonly string[] } {
  const limits: string[] = [];
  const coming = comingInstants(schedule, range, limits);
  const what =
    'state' in coming
      ? `${coming.state} ${coming.instants}`
      : coming.instants.map(({ at }) => at.slice(8, 10)).join(' ');
  return { what, limits };
}

describe('coming instants of a paused schedule', () => {
  it('are those from the end of the pause on, which is said', () => {
    expect(found(daily())).toEqual({ what: '23 24 25', limits: [] });
    expect(found(paused('2026-11-24T00:00:00Z'))).toEqual({
      what: '24 25',
      limits: [
        'schedule daily is paused since 2026-11-22T23:59:59.000Z until 2026-11-24T00:00:00.000Z by olga: holiday: its instants before are left out',
      ],
    });
    expect(found(paused('2026-11-24T12:00:00Z')).what).toBe('24 25');
    // Nobody has settled it since.
    expect(found(paused('2026-11-22T00:00:00Z'))).toEqual({ what: '23 24 25', limits: [] });
  });

  it('are none where it ends later, or when somebody ends it', () => {
    expect(found(paused(null))).toEqual({ what: 'paused 3', limits: [] });
    expect(found(paused('2026-11-25T13:00:00Z'))).toEqual({ what: 'paused 3', limits: [] });
    expect(found(paused('2027-01-01T00:00:00Z'))).toEqual({ what: 'paused 3', limits: [] });
  });
});

describe('gates of a forecast', () => {
  it('are read once for schedules that say the same', async () => {
    const queries: string[] = [];
    const transaction = { query: (sql: string) => Promise.resolve(queries.push(sql) < 0 ? null : []) };
    const calendars = await ForecastCalendars.read(systemContext(transaction as never, 'x'), 'default');
    const read = queries.length;
    const one = { calendars: ['nights'] };
    await calendars.gateOf(daily({}, one));
    const once = queries.length;
    expect(once).toBeGreaterThan(read);
    expect(await calendars.gateOf(daily({ id: 'j' }, { ...one, whenClosed: 'defer' }))).toMatchObject({
      whenClosed: 'defer',
    });
    expect(queries.length).toBe(once);
    await calendars.gateOf(daily({}, { calendars: ['days'] }));
    expect(queries.length).toBeGreaterThan(once);
  });
});
