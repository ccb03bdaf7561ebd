import { describe, expect, it } from '@jest/globals';
import { alwaysOpen, type CalendarGate } from '@fettle/calendar';
import {
  ASSUMED_MS,
  deadlineFindings,
  expectedDuration,
  expectedOutcomes,
  type OutcomeRules,
} from './forecast-outcomes.js';

const minute = 60_000;
const base = Date.UTC(2026, 10, 23);
const every10 = [0, 10, 20, 30].map((minutes) => base + minutes * minute);
function rules(more: Partial<OutcomeRules> = {}): OutcomeRules {
  const duration = expectedDuration([], [15 * minute]);
  return { overlap: 'allow', whenClosed: 'refuse', gate: alwaysOpen, duration, openUntilMs: null, ...more };
}
const brief = (instants: readonly number[], of: OutcomeRules): string[] =>
  expectedOutcomes(instants, of).map(({ outcome, startMs }) =>
    startMs === null ? outcome : `${outcome} ${(startMs - base) / minute}`,
  );

describe('expected durations', () => {
  it('are median and 90th percentile of the schedule, of the runbook where the schedule has too few, or an assumption', () => {
    const ten = Array.from({ length: 10 }, (_, index) => (index + 1) * 1000);
    expect(expectedDuration(ten, [1])).toEqual({
      basis: 'schedule',
      samples: 10,
      medianMs: 5000,
      p90Ms: 9000,
      expectedMs: 9000,
    });
    expect(expectedDuration([1, 2], ten)).toMatchObject({ basis: 'runbook', samples: 10 });
    expect(expectedDuration([7, 8], [7, 8])).toMatchObject({ basis: 'schedule', samples: 2, medianMs: 7, p90Ms: 8 });
    expect(expectedDuration([], [])).toEqual({
      basis: 'none',
      samples: 0,
      medianMs: null,
      p90Ms: null,
      expectedMs: ASSUMED_MS,
    });
  });
});

describe('deadlines', () => {
  it('are told where what is expected comes later than it must', () => {
    const outcome = {
      outcome: 'queued' as const,
      startMs: base + 20 * minute,
      endMs: base + 50 * minute,
      findings: [],
    };
    const kinds = (startBy: number | null, finishBy: number | null, hasHistory = true): string[] =>
      deadlineFindings(
        base,
        outcome,
        { startMs: startBy === null ? null : startBy * minute, finishMs: finishBy === null ? null : finishBy * minute },
        hasHistory,
      ).map(({ message }) => message.replace(/^it must have (\w+) by .*/, '$1'));
    expect(kinds(null, null)).toEqual([]);
    expect(kinds(20, 50)).toEqual([]);
    expect(kinds(19, 49)).toEqual(['started', 'finished']);
    expect(kinds(19, 49, false)).toEqual(['started']);
    const skipped = { outcome: 'skipped' as const, startMs: null, endMs: null, findings: [] };
    expect(deadlineFindings(base, skipped, { startMs: minute, finishMs: null }, true)).toHaveLength(1);
  });
});

describe('expected outcomes', () => {
  it('follow the rule for overlaps, where runs take longer than it is to the next', () => {
    expect(brief(every10, rules())).toEqual(['starts 0', 'starts 10', 'starts 20', 'starts 30']);
    expect(brief(every10, rules({ overlap: 'skip' }))).toEqual(['starts 0', 'skipped', 'starts 20', 'skipped']);
    expect(brief(every10, rules({ overlap: 'queue-one' }))).toEqual([
      'starts 0',
      'queued 15',
      'queued 30',
      'queued 45',
    ]);
    expect(brief(every10, rules({ overlap: 'queue-all' }))).toEqual([
      'starts 0',
      'queued 15',
      'queued 30',
      'queued 45',
    ]);
    expect(brief(every10, rules({ overlap: 'cancel-other' }))).toEqual([
      'starts 0',
      'starts 10',
      'starts 20',
      'starts 30',
    ]);
    const hourly = expectedDuration([], [60 * minute]);
    expect(brief(every10, rules({ overlap: 'queue-one', duration: hourly }))).toEqual([
      'starts 0',
      'queued 60',
      'skipped',
      'skipped',
    ]);
  });

  it('reckon with a run that is open now, and without a history with that alone', () => {
    const unknown = expectedDuration([], []);
    const openUntilMs = base + 12 * minute;
    expect(brief(every10, rules({ overlap: 'skip', duration: unknown, openUntilMs }))).toEqual([
      'skipped',
      'skipped',
      'starts 20',
      'starts 30',
    ]);
  });

  it('ask the gate, and name calendar, reason and opening', () => {
    const gate: CalendarGate = (atMs) =>
      atMs < base + 20 * minute
        ? { isOpen: false, reason: 'freeze', calendar: 'year-end', nextOpenMs: base + 20 * minute }
        : { isOpen: true, closesAtMs: base + 40 * minute };
    expect(brief(every10, rules({ gate }))).toEqual(['refused', 'refused', 'starts 20', 'starts 30']);
    expect(brief(every10, rules({ gate, whenClosed: 'skip' }))).toEqual([
      'skipped',
      'skipped',
      'starts 20',
      'starts 30',
    ]);
    expect(brief(every10, rules({ gate, whenClosed: 'defer' }))).toEqual([
      'skipped',
      'deferred 20',
      'starts 20',
      'starts 30',
    ]);
    const [first, , , last] = expectedOutcomes(every10, rules({ gate }));
    expect(first?.findings).toMatchObject([
      {
        kind: 'closed',
        calendar: 'year-end',
        message: 'frozen by the calendar year-end; it opens at 2026-11-23 00:20 UTC',
      },
    ]);
    expect(last?.findings).toMatchObject([
      { kind: 'closes', message: expect.stringMatching(/after 2026-11-23 00:40 UTC/) },
    ]);
    const never: CalendarGate = () => ({ isOpen: false, reason: 'window', calendar: 'nights', nextOpenMs: null });
    const [closed] = expectedOutcomes(every10, rules({ gate: never, whenClosed: 'defer' }));
    expect(closed).toMatchObject({
      outcome: 'skipped',
      findings: [{ message: expect.stringMatching(/no opening is known/) }],
    });
  });

  const shutUntil =
    (minutes: number): CalendarGate =>
    (atMs) =>
      atMs < base + minutes * minute
        ? { isOpen: false, reason: 'freeze', calendar: 'year-end', nextOpenMs: base + minutes * minute }
        : { isOpen: true };

  it('let the last of those that wait for one opening stand for the others, as settling does', () => {
    const gate = shutUntil(25);
    const deferring = { gate, whenClosed: 'defer', duration: expectedDuration([], [minute]) };
    expect(brief(every10, rules(deferring))).toEqual(['skipped', 'skipped', 'deferred 25', 'starts 30']);
    const [first] = expectedOutcomes(every10, rules(deferring));
    expect(first?.findings).toMatchObject([
      {
        kind: 'closed',
        calendar: 'year-end',
        message: expect.stringMatching(/a later instant .* stands for this one$/),
      },
    ]);
    expect(brief(every10, rules({ ...deferring, missed: 'none' }))).toEqual(brief(every10, rules(deferring)));
    expect(brief(every10, rules({ ...deferring, missed: 'all' }))).toEqual([
      'deferred 25',
      'deferred 25',
      'deferred 25',
      'starts 30',
    ]);
  });

  it('begin with what waits: at its opening, or behind the run that is open', () => {
    const waits = (outcome: 'queued' | 'deferred', dueMs: number | null, source = 'nominal') => ({
      outcome,
      dueMs,
      source,
    });
    const duration = expectedDuration([], [minute]);
    const later = every10.slice(2);
    const of = (more: Partial<OutcomeRules>): string[] => brief(later, rules({ nowMs: base, duration, ...more }));
    expect(of({ waiting: [waits('deferred', base + 5 * minute)] })).toEqual(['deferred 5', 'starts 20', 'starts 30']);
    const queue = { overlap: 'queue-all', openUntilMs: base + 7 * minute };
    expect(of({ ...queue, waiting: [waits('queued', null), waits('queued', null)] })).toEqual([
      'queued 7',
      'queued 8',
      'starts 20',
      'starts 30',
    ]);
    // A backfill waits whatever the schedule does with overlaps, and takes the place of none in its queue.
    expect(of({ ...queue, overlap: 'skip', waiting: [waits('queued', null, 'backfill')] })[0]).toBe('queued 7');
    const gate = shutUntil(25);
    const closed = { gate, whenClosed: 'defer', waiting: [waits('deferred', base + 25 * minute)] };
    expect(of(closed)).toEqual(['skipped', 'deferred 25', 'starts 30']);
    expect(of({ ...closed, missed: 'all' })).toEqual(['deferred 25', 'deferred 25', 'starts 30']);
  });
});
