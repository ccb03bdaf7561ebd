import { describe, expect, it } from '@jest/globals';
import { parseCron } from './cron.js';
import { settleInstants } from './settle.js';
import type { FireDecision, SettleInput } from './settle-types.js';

const MINUTE_MS = 60_000;
const base = {
  schedule: { cron: parseCron('*/10 * * * *'), timeZone: 'UTC' },
  watermark: '2026-01-01T00:00:00Z',
  catchUpMs: 10 * MINUTE_MS,
  overlapRunning: false,
  overlap: 'skip',
} as const satisfies Omit<SettleInput, 'now'>;

/** `HH:MM outcome code` of each decision, ` xN` of a stretch. */
function settled(input: Partial<SettleInput> & Pick<SettleInput, 'now'>): string[] {
  return settleInstants({ ...base, ...input }).decisions.map(({ nominalAt, outcome, code, instants: count }) =>
    `${nominalAt.slice(11, 16)} ${outcome} ${code}${count === 1 ? '' : ` x${count}`}`.trim(),
  );
}

describe('settleInstants', () => {
  it('fires on time, within a minute, and not the watermark itself again', () => {
    expect(settled({ now: '2026-01-01T00:09:59Z' })).toEqual([]);
    expect(settled({ now: '2026-01-01T00:10:00Z' })).toEqual(['00:10 fired']);
    expect(settled({ now: '2026-01-01T00:11:00Z' })).toEqual(['00:10 fired']);
    expect(settled({ now: '2026-01-01T00:11:01Z' })).toEqual(['00:10 caught-up']);
    expect(settled({ watermark: '2026-01-01T00:10:00Z', now: '2026-01-01T00:10:30Z' })).toEqual([]);
  });

  it('catches up the last instant within the limit and says of the others why they did not run', () => {
    const now = '2026-01-01T00:35:00Z';
    expect(settled({ now })).toEqual(['00:10 missed late x2', '00:30 caught-up']);
    expect(settled({ now, catchUpMs: 20 * MINUTE_MS })).toEqual([
      '00:10 missed late',
      '00:20 missed superseded',
      '00:30 caught-up',
    ]);
    expect(settled({ now, catchUpMs: MINUTE_MS })).toEqual(['00:10 missed late x3']);
    expect(settled({ now, catchUpMs: 60 * MINUTE_MS, missed: 'none' })).toEqual(['00:10 missed late x3']);
    expect(settled({ now, catchUpMs: 60 * MINUTE_MS, missed: 'all', overlap: 'allow' })).toEqual([
      '00:10 caught-up',
      '00:20 caught-up',
      '00:30 caught-up',
    ]);
    expect(settled({ now, catchUpMs: 60 * MINUTE_MS, missed: 'all' })).toEqual([
      '00:10 caught-up',
      '00:20 skipped overlap',
      '00:30 skipped overlap',
    ]);
  });

  it('skips while a run is under way, unless overlap is allowed', () => {
    expect(settled({ now: '2026-01-01T00:10:05Z', overlapRunning: true })).toEqual(['00:10 skipped overlap']);
    expect(settled({ now: '2026-01-01T00:10:05Z', overlapRunning: true, overlap: 'allow' })).toEqual(['00:10 fired']);
  });

  it('skips what is paused, and lets the last instant before the pause stand', () => {
    const paused = [{ from: '2026-01-01T00:25:00Z', to: '2026-01-01T00:45:00Z' }];
    expect(settled({ now: '2026-01-01T00:44:00Z', catchUpMs: 60 * MINUTE_MS, paused })).toEqual([
      '00:10 missed superseded',
      '00:20 caught-up',
      '00:30 skipped paused x2',
    ]);
    expect(settled({ now: '2026-01-01T00:10:00Z', paused: [{ from: '2025-12-01T00:00:00Z' }] })).toEqual([
      '00:10 skipped paused',
    ]);
    expect(settled({ now: '2026-01-01T00:50:00Z', paused })).toContain('00:50 fired');
  });

  it('decides nothing when the clock goes back, and keeps the watermark', () => {
    expect(settleInstants({ ...base, now: '2025-12-31T00:00:00Z' })).toEqual({
      decisions: [],
      ends: [],
      cancelRunning: false,
      watermark: '2026-01-01T00:00:00.000Z',
      more: false,
    });
  });

  it('pages, and no page fires before it is sure to hold the last due instant', () => {
    const input = { ...base, now: '2026-01-02T00:00:00Z', catchUpMs: 86_400_000, maxInstants: 50 };
    const first = settleInstants(input);
    expect(first.more).toBe(true);
    expect(first.decisions).toMatchObject([{ outcome: 'missed', code: 'superseded', instants: 50 }]);
    const whole = settleInstants({ ...input, maxInstants: 1000 });
    expect(whole.decisions.at(-1)).toMatchObject({ outcome: 'fired', nominalAt: '2026-01-02T00:00:00Z' });
    const paged = pages(input);
    expect(paged.reduce((sum, one) => sum + one.instants, 0)).toBe(144);
    expect(paged.at(-1)).toEqual(whole.decisions.at(-1));
  });

  it('starts no more than it may in one settling, and goes on in the next', () => {
    const input = {
      ...base,
      now: '2026-01-01T02:00:00Z',
      catchUpMs: 86_400_000,
      missed: 'all',
      overlap: 'allow',
      maxStarts: 5,
    } as const;
    expect(settleInstants(input)).toMatchObject({ more: true, watermark: '2026-01-01T00:50:00.000Z' });
    expect(pages(input).map((one) => one.outcome)).toEqual([...Array<string>(11).fill('caught-up'), 'fired']);
  });

  it('lets a pause grow as one row, and a new pause begin another', () => {
    const paused = [{ from: '2026-01-01T00:05:00Z' }];
    const last = { nominalAt: '2026-01-01T00:10:00Z', outcome: 'skipped', code: 'paused' } as const;
    const input = { watermark: '2026-01-01T00:10:00Z', now: '2026-01-01T00:30:00Z', paused, last };
    expect(settleInstants({ ...base, ...input }).decisions).toMatchObject([
      { nominalAt: '2026-01-01T00:20:00Z', instants: 2, lastNominalAt: '2026-01-01T00:30:00Z', extendsLast: true },
    ]);
    const again = [{ from: '2026-01-01T00:15:00Z' }];
    expect(settleInstants({ ...base, ...input, paused: again }).decisions).toMatchObject([
      { nominalAt: '2026-01-01T00:20:00Z', extendsLast: false },
    ]);
  });
});

function pages(input: SettleInput): FireDecision[] {
  const decisions: FireDecision[] = [];
  let { watermark } = input;
  for (let more = true; more;) {
    const settlement = settleInstants({ ...input, watermark });
    decisions.push(...settlement.decisions);
    ({ watermark, more } = settlement);
  }
  return decisions;
}
