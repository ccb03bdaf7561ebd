import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseCron } from './cron.js';
import { instants } from './instants.js';
import { settleInstants, type SettleInput } from './settle.js';

const MINUTE_MS = 60_000;
const runs = process.env['FETTLE_LONG'] === '1' ? 2000 : 40;
const base = {
  schedule: { cron: parseCron('*/10 * * * *'), timeZone: 'UTC' },
  watermark: '2026-01-01T00:00:00Z',
  catchUpMs: 10 * MINUTE_MS,
  overlapRunning: false,
  overlap: 'skip',
} as const satisfies Omit<SettleInput, 'now'>;

/** `HH:MM outcome reason` of each decision. */
function settled(input: Partial<SettleInput> & Pick<SettleInput, 'now'>): string[] {
  return settleInstants({ ...base, ...input }).decisions.map(({ nominalAt, outcome, reason }) =>
    `${nominalAt.slice(11, 16)} ${outcome} ${reason}`.trim(),
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
    expect(settled({ now })).toEqual(['00:10 missed late', '00:20 missed late', '00:30 caught-up']);
    expect(settled({ now, catchUpMs: 20 * MINUTE_MS })).toEqual([
      '00:10 missed late',
      '00:20 missed superseded',
      '00:30 caught-up',
    ]);
    expect(settled({ now, catchUpMs: MINUTE_MS })).toEqual([
      '00:10 missed late',
      '00:20 missed late',
      '00:30 missed late',
    ]);
    expect(settled({ now, catchUpMs: 60 * MINUTE_MS, missed: 'none' })).toEqual([
      '00:10 missed late',
      '00:20 missed late',
      '00:30 missed late',
    ]);
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
      '00:30 skipped paused',
      '00:40 skipped paused',
    ]);
    expect(settled({ now: '2026-01-01T00:10:00Z', paused: [{ from: '2025-12-01T00:00:00Z' }] })).toEqual([
      '00:10 skipped paused',
    ]);
    expect(settled({ now: '2026-01-01T00:50:00Z', paused })).toContain('00:50 fired');
  });

  it('decides nothing when the clock goes back, and keeps the watermark', () => {
    expect(settleInstants({ ...base, now: '2025-12-31T00:00:00Z' })).toEqual({
      decisions: [],
      watermark: '2026-01-01T00:00:00.000Z',
      more: false,
    });
  });

  it('pages, and no page fires before it is sure to hold the last due instant', () => {
    const input = { ...base, now: '2026-01-02T00:00:00Z', catchUpMs: 86_400_000, maxDecisions: 50 };
    const first = settleInstants(input);
    expect(first.more).toBe(true);
    expect(first.decisions).toHaveLength(50);
    expect(new Set(first.decisions.map((decision) => decision.reason))).toEqual(new Set(['superseded']));
    const whole = settleInstants({ ...input, maxDecisions: 1000 });
    expect(whole.decisions.at(-1)).toMatchObject({ outcome: 'fired', nominalAt: '2026-01-02T00:00:00Z' });
    expect(pages(input)).toEqual(whole.decisions);
  });

  it(`gives each instant of any history exactly one outcome, ${runs} times`, () => {
    const minute = fc.integer({ min: 0, max: 36 * 60 });
    const start = Date.UTC(2026, 9, 24);
    const at = (offset: number): number => start + offset * MINUTE_MS;
    const expression = fc.constantFrom('*/10 * * * *', '30 2 * * *', '0 */3 * * *', '15,45 1-3 * * *');
    const pauses = fc.array(fc.tuple(minute, minute), { maxLength: 3 });
    const settings = fc.record({
      overlap: fc.constantFrom('skip' as const, 'allow' as const),
      missed: fc.constantFrom('last' as const, 'all' as const, 'none' as const),
      catchUpMs: fc.constantFrom(0, MINUTE_MS, 10 * MINUTE_MS, 10 * 60 * MINUTE_MS),
      maxDecisions: fc.constantFrom(1, 3, 1000),
    });
    fc.assert(
      fc.property(
        expression,
        fc.array(fc.tuple(minute, fc.boolean()), { minLength: 1, maxLength: 12 }),
        pauses,
        settings,
        (text, wakes, pauseMinutes, setting) => {
          const schedule = { cron: parseCron(text), timeZone: 'Europe/Berlin' };
          const paused = pauseMinutes.map(([a, b]) => ({ from: at(Math.min(a, b)), to: at(Math.max(a, b)) }));
          let watermark: string | number = start;
          const seen: string[] = [];
          // Wakes come in any order: a clock that goes back must decide nothing twice.
          for (const [wake, overlapRunning] of wakes) {
            for (let more = true; more;) {
              const settlement = settleInstants({
                schedule,
                watermark,
                now: Math.max(at(wake), start),
                paused,
                overlapRunning,
                ...setting,
              });
              for (const decision of settlement.decisions) {
                seen.push(decision.nominalAt);
                const isPaused = paused.some(
                  (range) => Date.parse(decision.nominalAt) >= range.from && Date.parse(decision.nominalAt) < range.to,
                );
                expect(decision.reason === 'paused').toBe(isPaused);
                if (decision.outcome === 'fired' || decision.outcome === 'caught-up') {
                  expect(decision.latenessMs).toBeLessThanOrEqual(setting.catchUpMs);
                  expect(overlapRunning && setting.overlap === 'skip').toBe(false);
                  expect(decision.outcome).toBe(decision.latenessMs > MINUTE_MS ? 'caught-up' : 'fired');
                }
              }
              ({ watermark, more } = settlement);
            }
          }
          const latest = Math.max(...wakes.map(([wake]) => at(wake)));
          expect(seen).toEqual(instants({ ...schedule, from: start + 1, to: latest + 1 }).map((instant) => instant.at));
        },
      ),
      { numRuns: runs, seed: 13, verbose: 1 },
    );
  });
});

function pages(input: SettleInput): unknown[] {
  const decisions: unknown[] = [];
  let { watermark } = input;
  for (let more = true; more;) {
    const settlement = settleInstants({ ...input, watermark });
    decisions.push(...settlement.decisions);
    ({ watermark, more } = settlement);
  }
  return decisions;
}
