import { describe, expect, it } from '@jest/globals';
import type { TargetShare } from '@fettle/contracts';
import fc from 'fast-check';
import { failureLimit, waveEnds, waveSizes } from './wave-arithmetic.js';

const seed = Number(process.env['FETTLE_SEED'] ?? Date.now() % 2 ** 31);
process.stdout.write(`wave-arithmetic.property.test.ts: FETTLE_SEED=${seed}\n`);
const numRuns = process.env['FETTLE_LONG'] === '1' ? 20_000 : 1_000;

/** Hundredths of a percent as a document writes them. */
function percentage(hundredths: number, decimals: boolean): TargetShare {
  const whole = Math.floor(hundredths / 100);
  return decimals ? `${whole}.${String(hundredths % 100).padStart(2, '0')}%` : `${whole}%`;
}

const shareArbitrary: fc.Arbitrary<TargetShare> = fc.oneof(
  fc.nat({ max: 300 }),
  fc.nat({ max: 100 }).map((percent) => percentage(percent * 100, false)),
  fc.nat({ max: 10_000 }).map((hundredths) => percentage(hundredths, true)),
);
const countArbitrary = fc.oneof(fc.nat({ max: 30 }), fc.nat({ max: 3_000 }));

/** Hundredths of a percent, read by hand: digits before and after the point. */
function naiveHundredths(share: string): number {
  const [whole, fraction = ''] = share.slice(0, -1).split('.');
  return Number(whole) * 100 + (fraction === '' ? 0 : Number(fraction.length === 1 ? `${fraction}0` : fraction));
}

/** How many targets a share is, by counting them one by one: rounded up, the first number that reaches it; down, the last within. */
function naiveShare(share: TargetShare, targets: number, rounding: 'up' | 'down'): number {
  if (typeof share === 'number') return share;
  const wanted = naiveHundredths(share) * targets;
  let count = 0;
  if (rounding === 'up') while (count * 10_000 < wanted) count += 1;
  else while ((count + 1) * 10_000 <= wanted) count += 1;
  return count;
}

/** The waves as lists of targets: each takes from those that are left until it has come up to its number. */
function naiveWaves(shares: readonly TargetShare[], targets: number): number[][] {
  const left = Array.from({ length: targets }, (_, index) => index);
  const waves: number[][] = [];
  let taken = 0;
  for (const share of shares) {
    const upTo = naiveShare(share, targets, 'up');
    const wave: number[] = [];
    while (left.length > 0 && taken < upTo) {
      wave.push(left.shift()!);
      taken += 1;
    }
    if (wave.length > 0) waves.push(wave);
  }
  if (left.length > 0) waves.push(left);
  return waves;
}

describe('arithmetic of a rollout, against a naive model', () => {
  it('waves: cumulative, rounded up, empty ones vanish, all targets in the end', () => {
    let multiple = 0;
    fc.assert(
      fc.property(fc.array(shareArbitrary, { minLength: 1, maxLength: 8 }), countArbitrary, (shares, targets) => {
        const ends = waveEnds(shares, targets);
        const sizes = waveSizes(ends);
        expect(sizes).toEqual(naiveWaves(shares, targets).map((wave) => wave.length));
        expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(targets);
        expect(sizes.every((size) => size > 0)).toBe(true);
        if (sizes.length > 1) multiple += 1;
      }),
      { seed, numRuns },
    );
    expect(multiple).toBeGreaterThan(numRuns / 10);
  });

  it('limit of failures: a number as it is, a percentage rounded down', () => {
    fc.assert(
      fc.property(shareArbitrary, countArbitrary, (share, targets) => {
        expect(failureLimit(share, targets)).toBe(naiveShare(share, targets, 'down'));
      }),
      { seed, numRuns },
    );
  });
});

describe('examples', () => {
  it.each([
    [[1, '10%', '50%', '100%'], 20, [1, 2, 10, 20]],
    [[1, '10%', '50%', '100%'], 5, [1, 3, 5]],
    [[1, '10%', '50%', '100%'], 1, [1]],
    [[1, '10%', '50%', '100%'], 0, []],
    [['0.5%', '100%'], 50_000, [250, 50_000]],
    // 12.35 % is 1235 of 10,000 exactly, where binary fractions would round it up to 1236.
    [['12.35%', '100%'], 10_000, [1235, 10_000]],
    [[10, '10%', '100%'], 50, [10, 50]],
    [['10%'], 50, [5, 50]],
  ] as [TargetShare[], number, number[]][])('%j of %i targets end at %j', (shares, targets, ends) => {
    expect(waveEnds(shares, targets)).toEqual(ends);
  });

  it.each([
    [5, 3, 5],
    ['10%', 99, 9],
    ['0%', 99, 0],
    ['33.33%', 300, 99],
    [undefined, 99, null],
  ] as [TargetShare | undefined, number, number | null][])(
    'maxFailures %j of %i targets is %j',
    (share, targets, limit) => {
      expect(failureLimit(share, targets)).toBe(limit);
    },
  );
});
