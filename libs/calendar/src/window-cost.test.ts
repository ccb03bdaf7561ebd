import { describe, expect, it } from '@jest/globals';
import { calendarSpecSchema } from '@fettle/contracts';
import { bothGates, gateOf, gateStretches, readCalendar } from './window-calendar.js';
import { calendarChecks, MAX_RECURRING_SPANS } from './window-checks.js';

const read = (spec: object) => readCalendar('c', calendarSpecSchema.parse(spec), null);
const at = (text: string): number => Date.parse(text);

describe('what a question may cost', () => {
  /** Each overlaps the next, all day and every day. */
  const crowd = (count: number) => ({
    windows: Array.from({ length: count }, (_, index) => ({
      rrule: `FREQ=DAILY;BYHOUR=${Math.floor(index / 10)};BYMINUTE=${(index % 10) * 6}`,
      duration: '5h',
    })),
  });
  /** Counts the looks at the spans of a calendar. */
  const counted = (spec: object) => {
    const calendar = read(spec);
    let looks = 0;
    const of = (spans: typeof calendar.windows) =>
      spans.map((span) => ({
        ...span,
        at: (atMs: number) => ((looks += 1), span.at(atMs)),
        after: (atMs: number) => ((looks += 1), span.after(atMs)),
      }));
    const spied = { ...calendar, windows: of(calendar.windows), freezes: of(calendar.freezes) };
    return { gate: gateOf([spied]), looks: () => looks };
  };
  const noon = at('2026-11-24T12:00Z');

  it('is one look at each window to tell that it is open, and bounded to tell until when', () => {
    const { gate: asked, looks } = counted(crowd(200));
    expect(asked(noon)).toEqual({ isOpen: true });
    expect(looks()).toBe(200);
    const told = asked(noon, { closes: true });
    expect(told).toMatchObject({ isOpen: true, isCut: true });
    expect(told.isOpen ? told.closesAtMs : 0).toBeGreaterThan(noon + 86_400_000);
    expect(looks()).toBeLessThan(200 + 4000 + 600);
  });

  it('is bounded for the next opening, too, of which nothing is told then', () => {
    const freezes = Array.from({ length: 100 }, (_, index) => ({ cron: `${index % 60} * * * *`, duration: '2m' }));
    const { gate: asked, looks } = counted({ freezes });
    expect(asked(noon)).toMatchObject({ isOpen: false, reason: 'freeze', nextOpenMs: null });
    expect(looks()).toBeLessThan(4000 + 400);
    const together = counted({ freezes });
    const shared = bothGates([together.gate, together.gate, together.gate]);
    expect(shared(noon)).toMatchObject({ isOpen: false, nextOpenMs: null });
    expect(together.looks()).toBeLessThan(4000 + 1200);
  });

  it('follows fixed times farther, which cost little', () => {
    const freezes = Array.from({ length: 300 }, (_, index) => {
      const day = (days: number) => new Date(at('2026-01-01') + days * 86_400_000).toISOString().slice(0, 10);
      return { from: day(index), to: day(index) };
    });
    expect(gateOf([read({ freezes })])(at('2026-01-01T12:00Z'))).toMatchObject({ nextOpenMs: at('2026-10-28') });
  });

  it('ends a list of stretches where it is spent', () => {
    const { gate: asked, looks } = counted(crowd(200));
    expect(gateStretches(asked, noon, noon + 3000 * 86_400_000, 500).length).toBeGreaterThan(0);
    expect(looks()).toBeLessThan(40_000 + 5000);
  });

  it('is kept low by a limit on what comes again', () => {
    const checks = calendarChecks(calendarSpecSchema.parse(crowd(MAX_RECURRING_SPANS + 1)));
    expect(() => checks.forEach(({ check }) => check())).toThrow(/201 windows, freezes and holidays come again/);
    const fits = calendarChecks(calendarSpecSchema.parse(crowd(MAX_RECURRING_SPANS)));
    expect(() => fits.forEach(({ check }) => check())).not.toThrow();
  });
});
