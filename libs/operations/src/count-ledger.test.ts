import { describe, expect, it } from '@jest/globals';
import { scheduleRecurrence } from '@fettle/calendar';
import { scheduleDocumentSchema } from '@fettle/contracts';
import { countInstants } from './count-ledger.js';

function everyMinute(exclusions = 0) {
  const exclude = Array.from({ length: exclusions }, (_, index) => ({
    rrule: `DTSTART:20200101T0000${String(index % 60).padStart(2, '0')}\nRRULE:FREQ=MONTHLY;BYMONTHDAY=${1 + (index % 28)};BYHOUR=3`,
  }));
  const { spec } = scheduleDocumentSchema.parse({
    apiVersion: 'fettle/v1',
    kind: 'Schedule',
    metadata: { name: 'often' },
    spec: { runbook: 'r', cron: '* * * * *', ...(exclusions === 0 ? {} : { exclude }) },
  });
  return scheduleRecurrence(spec, 'default/often');
}
const after = new Date('2026-01-01T00:00:00Z');
const minutes = (count: number): { after: Date; upTo: Date } => ({
  after,
  upTo: new Date(after.getTime() + count * 60_000),
});

describe('counting instants for the check of a ledger', () => {
  it('counts those after the one time up to the other', async () => {
    expect(await countInstants(everyMinute(), minutes(1440), { max: 2000, budgetMs: 60_000 })).toBe(1440);
    expect(await countInstants(everyMinute(), minutes(0), { max: 2000, budgetMs: 60_000 })).toBe(0);
    expect(await countInstants(everyMinute(), minutes(2000), { max: 2000, budgetMs: 60_000 })).toBe(2000);
  });

  it('gives up at its limits and says which', async () => {
    const found = await countInstants(everyMinute(), minutes(2001), { max: 2000, budgetMs: 60_000 });
    expect(found).toBe('there are more than 2000 instants');
    // Each look at the clock takes a millisecond.
    let looks = 0;
    const limits = { max: 2000, budgetMs: 200, clockMs: () => (looks += 1) };
    expect(await countInstants(everyMinute(), minutes(2000), limits)).toBe(
      'to count its instants takes longer than 200 ms',
    );
    expect(looks).toBeLessThan(400);
  });

  it('lets others of the same thread have their turn, also where each instant is dear', async () => {
    // Each look at the clock takes four milliseconds, so a stretch is three instants; others take their turn between two.
    let [looks, turns, going] = [0, 0, true];
    const others = (): void => {
      turns += 1;
      if (going) setImmediate(others);
    };
    setImmediate(others);
    const limits = { max: 2000, budgetMs: 60_000, clockMs: () => (looks += 4) };
    const found = await countInstants(everyMinute(), minutes(300), limits);
    going = false;
    expect(found).toBe(300);
    expect(turns).toBeGreaterThanOrEqual(90);
  });
});
