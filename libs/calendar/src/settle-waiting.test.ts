import { describe, expect, it } from '@jest/globals';
import type { GateState } from './calendar-gate.js';
import { parseCron } from './cron.js';
import { settleInstants } from './settle.js';
import type { SettleInput, Settlement, WaitingFire } from './settle-types.js';

const MINUTE_MS = 60_000;
const at = (time: string): string => `2026-01-01T${time}:00Z`;
const base = {
  schedule: { cron: parseCron('*/10 * * * *'), timeZone: 'UTC' },
  watermark: at('00:00'),
  now: at('00:10'),
  catchUpMs: 10 * MINUTE_MS,
  overlapRunning: true,
  overlap: 'queue-one',
} as const satisfies SettleInput;

/** `HH:MM outcome code` of what is new, then `(HH:MM ...)` of what waited. */
function said({ decisions, ends }: Settlement): string[] {
  const text = (one: { nominalAt: string; outcome: string; code: string }): string =>
    `${one.nominalAt.slice(11, 16)} ${one.outcome} ${one.code}`.trim();
  return [...decisions.map(text), ...ends.map((one) => `(${text(one)})`)];
}

const settled = (input: Partial<SettleInput>): string[] => said(settleInstants({ ...base, ...input }));

function waiting(time: string, given: Partial<WaitingFire> = {}): WaitingFire {
  return { nominalAt: at(time), source: 'nominal', outcome: 'queued', dueAt: null, ...given };
}

const closed = (nextOpen: string | null): (() => GateState) => {
  const nextOpenMs = nextOpen === null ? null : Date.parse(at(nextOpen));
  return () => ({ isOpen: false, reason: 'freeze', calendar: 'year-end', nextOpenMs });
};

describe('an instant while a run is under way', () => {
  it('queues one, or all', () => {
    expect(settled({})).toEqual(['00:10 queued overlap']);
    const next = { watermark: at('00:10'), now: at('00:20'), waiting: [waiting('00:10')] };
    expect(settled(next)).toEqual(['00:20 skipped queue-full']);
    expect(settled({ ...next, overlap: 'queue-all' })).toEqual(['00:20 queued overlap']);
  });

  it('starts one of the queue when the run has ended, the first one first', () => {
    const next = { watermark: at('00:20'), now: at('00:21'), overlapRunning: false, freeSince: at('00:20') };
    const queue = [waiting('00:20'), waiting('00:10')];
    expect(settled({ ...next, overlap: 'queue-all', waiting: queue })).toEqual(['(00:10 fired)']);
    // An instant that comes at the same moment does not overtake.
    expect(settled({ ...next, watermark: at('00:10'), now: at('00:20'), waiting: [waiting('00:10')] })).toEqual([
      '00:20 queued overlap',
      '(00:10 fired)',
    ]);
  });

  it('does not start what could have started hours ago', () => {
    const next = { watermark: at('06:00'), now: at('06:00'), overlapRunning: false, waiting: [waiting('00:10')] };
    expect(settled({ ...next, freeSince: at('00:30') })).toEqual(['(00:10 missed late)']);
    expect(settled({ ...next, freeSince: at('05:55') })).toEqual(['(00:10 fired)']);
  });

  it('cancels the other, and the newest stands for those that wait for its end', () => {
    const first = settleInstants({ ...base, overlap: 'cancel-other' });
    expect(said(first)).toEqual(['00:10 queued overlap']);
    expect(first.cancelRunning).toBe(true);
    const next = { watermark: at('00:10'), now: at('00:20'), waiting: [waiting('00:10')] };
    const second = settleInstants({ ...base, ...next, overlap: 'cancel-other' });
    expect(said(second)).toEqual(['00:20 queued overlap', '(00:10 skipped superseded)']);
    const free = { watermark: at('00:20'), now: at('00:21'), overlapRunning: false, waiting: [waiting('00:20')] };
    const third = settleInstants({ ...base, ...free, overlap: 'cancel-other' });
    expect(said(third)).toEqual(['(00:20 fired)']);
    expect(third.cancelRunning).toBe(false);
  });

  it('ends what is queued when the schedule is paused, but for what a person triggered', () => {
    const paused = [{ from: at('00:11') }];
    const queue = [waiting('00:10'), waiting('00:05', { source: 'trigger' })];
    const next = { watermark: at('00:12'), now: at('00:12'), paused, waiting: queue, overlapRunning: false };
    expect(settled(next)).toEqual(['(00:05 fired)', '(00:10 skipped paused)']);
  });

  it('serves a backfill after all others, one at a time, however old', () => {
    const past = (time: string): WaitingFire => ({
      ...waiting(time, { source: 'backfill' }),
      nominalAt: `2025-12-01T${time}:00Z`,
    });
    const queue = [past('01:00'), past('02:00')];
    expect(settled({ overlap: 'skip', waiting: queue, overlapRunning: false })).toEqual(['00:10 fired']);
    const quiet = { watermark: at('00:10'), now: at('00:11'), overlapRunning: false, waiting: queue };
    expect(settled({ ...quiet, overlap: 'skip' })).toEqual(['(01:00 fired)']);
    expect(settled({ ...quiet, overlap: 'allow' })).toEqual(['(01:00 fired)', '(02:00 fired)']);
  });
});

describe('an instant while a calendar is closed', () => {
  const input = { overlapRunning: false, overlap: 'skip' } as const;

  it('is refused, skipped or deferred, as the schedule says', () => {
    const gate = closed('03:00');
    expect(settled({ ...input, gate })).toEqual(['00:10 skipped freeze']);
    expect(settled({ ...input, gate, whenClosed: 'refuse' })).toEqual(['00:10 refused freeze']);
    expect(settleInstants({ ...base, ...input, gate, whenClosed: 'defer' }).decisions).toMatchObject([
      { outcome: 'deferred', code: 'freeze', dueAt: at('03:00'), calendar: 'year-end' },
    ]);
    expect(settled({ ...input, gate: closed(null), whenClosed: 'defer' })).toEqual(['00:10 refused freeze']);
  });

  it('lets the last of several stand for them, unless all are wanted', () => {
    const deferred = waiting('00:10', { outcome: 'deferred', dueAt: at('03:00') });
    const next = { ...input, watermark: at('00:10'), now: at('00:20'), gate: closed('03:00'), waiting: [deferred] };
    expect(settled({ ...next, whenClosed: 'defer' })).toEqual(['00:20 deferred freeze', '(00:10 skipped superseded)']);
    expect(settled({ ...next, whenClosed: 'defer', missed: 'all' })).toEqual(['00:20 deferred freeze']);
  });

  it('follows a calendar that changed, and starts at the opening', () => {
    const deferred = waiting('00:10', { outcome: 'deferred', dueAt: at('03:00') });
    const next = { ...input, watermark: at('00:19'), now: at('00:19'), waiting: [deferred] };
    expect(settled({ ...next, gate: closed('03:00') })).toEqual([]);
    expect(settleInstants({ ...base, ...next, gate: closed('04:00') }).ends).toMatchObject([
      { outcome: 'deferred', dueAt: at('04:00') },
    ]);
    expect(settled({ ...next, gate: closed(null) })).toEqual(['(00:10 refused freeze)']);
    expect(settled(next)).toEqual(['(00:10 fired)']);
    const later = { watermark: at('03:09'), now: at('03:09') };
    expect(settled({ ...next, ...later })).toEqual(['(00:10 fired)']);
    const over = { watermark: at('03:11'), now: at('03:11') };
    expect(settled({ ...next, ...over })).toEqual(['(00:10 missed late)']);
    // Nor does it wait for the opening after that.
    expect(settled({ ...next, ...over, gate: closed('09:00') })).toEqual(['(00:10 missed late)']);
  });

  it('lets what is filled in wait for the opening, whatever the schedule says', () => {
    const past = { ...waiting('00:05', { source: 'backfill' }) };
    const next = { ...input, watermark: at('00:19'), now: at('00:19'), waiting: [past], whenClosed: 'skip' } as const;
    expect(settled({ ...next, gate: closed('03:00') })).toEqual(['(00:05 deferred freeze)']);
    expect(settled({ ...next, gate: closed(null) })).toEqual(['(00:05 refused freeze)']);
  });

  it('lets the last of those whose opening has come cancel the other', () => {
    const deferred = ['00:05', '00:10'].map((time) => waiting(time, { outcome: 'deferred', dueAt: at('00:15') }));
    const next = { watermark: at('00:16'), now: at('00:16'), waiting: deferred, overlap: 'cancel-other' } as const;
    expect(settled(next)).toEqual(['(00:05 skipped superseded)', '(00:10 queued overlap)']);
  });

  it('queues one whose opening comes while a run is under way, where the schedule queues', () => {
    const deferred = waiting('00:10', { outcome: 'deferred', dueAt: at('00:15') });
    const next = { watermark: at('00:16'), now: at('00:16'), waiting: [deferred] };
    expect(settled(next)).toEqual(['(00:10 queued overlap)']);
    expect(settled({ ...next, overlap: 'skip' })).toEqual(['(00:10 skipped overlap)']);
    expect(settled({ ...next, waiting: [waiting('00:05'), deferred] })).toEqual(['(00:10 skipped queue-full)']);
  });
});
