import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { dispatchRoom, type DispatchBudget } from './dispatch-room.js';

const seed = Number(process.env['FETTLE_SEED'] ?? Date.now() % 2 ** 31);
process.stdout.write(`dispatch-room.test.ts: FETTLE_SEED=${seed}\n`);
const numRuns = process.env['FETTLE_LONG'] === '1' ? 20_000 : 1_000;

const budgetArbitrary: fc.Arbitrary<DispatchBudget> = fc.record({
  wanted: fc.nat({ max: 100 }),
  maxConcurrency: fc.integer({ min: 1, max: 120 }),
  claimed: fc.nat({ max: 120 }),
  waiting: fc.nat({ max: 20 }),
  failures: fc.nat({ max: 40 }),
  maxFailures: fc.option(fc.nat({ max: 40 })),
  isStrict: fc.boolean(),
});

/** The rule as it is written, one attempt after the other. */
function naiveRoom(budget: DispatchBudget, isFirstAttempt: boolean): number {
  let { claimed, waiting } = budget;
  let granted = 0;
  for (; granted < budget.wanted && claimed < budget.maxConcurrency; granted += 1) {
    const { failures, maxFailures } = budget;
    const isStopped = maxFailures !== null && failures > maxFailures;
    if (isFirstAttempt && maxFailures !== null && budget.isStrict && !isStopped) {
      const asIfFailed = failures + claimed + waiting;
      if (asIfFailed > maxFailures) break;
    }
    claimed += 1;
    if (!isFirstAttempt) waiting -= 1;
  }
  return granted;
}

describe('room for dispatch', () => {
  it('is what the rule gives one by one', () => {
    let limited = 0;
    fc.assert(
      fc.property(budgetArbitrary, (budget) => {
        const room = dispatchRoom(budget);
        expect(room.all).toBe(naiveRoom(budget, false));
        expect(room.first).toBe(naiveRoom(budget, true));
        if (room.first < room.all) limited += 1;
      }),
      { seed, numRuns },
    );
    expect(limited).toBeGreaterThan(0);
  });

  it('lets strict failures never exceed the limit by more than one, whatever fails', () => {
    const events = fc.array(fc.constantFrom('fail', 'succeed', 'again', 'claim'), { maxLength: 200 });
    fc.assert(
      fc.property(
        fc.nat({ max: 8 }),
        fc.integer({ min: 1, max: 20 }),
        events,
        (maxFailures, maxConcurrency, script) => {
          let [claimed, waiting, failures] = [0, 0, 0];
          for (const event of script) {
            const budget = { wanted: 5, maxConcurrency, claimed, waiting, failures, maxFailures, isStrict: true };
            // Nothing new is dispatched beyond the limit, whatever room there is for those that finish.
            if (event === 'claim' && failures <= maxFailures) {
              const again = Math.min(waiting, dispatchRoom(budget).all);
              const first = Math.min(dispatchRoom(budget).first, dispatchRoom(budget).all - again);
              claimed += again + first;
              waiting -= again;
            } else if (event !== 'claim' && claimed > 0) {
              claimed -= 1;
              if (event === 'fail') failures += 1;
              if (event === 'again') waiting += 1;
            }
            expect(claimed).toBeLessThanOrEqual(maxConcurrency);
            expect(failures + claimed + waiting).toBeLessThanOrEqual(maxFailures + 1);
          }
        },
      ),
      { seed, numRuns },
    );
  });
});
