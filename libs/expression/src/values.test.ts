import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { compareNumbers, compareStrings, fromCel, stringSize, toCel, MapValue } from './values.js';

const seed = Number(process.env.FETTLE_SEED ?? Date.now() % 2 ** 31);
process.stdout.write(`expression values: seed ${seed}\n`);

describe('values', () => {
  it('go from JSON and back', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (json) => {
        // JSON has one zero, which JSON.stringify sees to.
        expect(fromCel(toCel(json))).toEqual(JSON.parse(JSON.stringify(json)) as unknown);
      }),
      { seed, numRuns: 200 },
    );
  });

  it('keep odd keys as keys', () => {
    const value = toCel(JSON.parse('{"__proto__": 1, "constructor": 2}'));
    expect(value).toBeInstanceOf(MapValue);
    expect((value as MapValue).get('toString')).toBeUndefined();
    expect((value as MapValue).get('__proto__')).toBe(1n);
    expect(Object.keys(fromCel(value) as object)).toEqual(['__proto__', 'constructor']);
  });

  it('order text as UTF-8 bytes do', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => {
        expect(Math.sign(compareStrings(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
        expect(stringSize(a)).toBe([...a].length);
      }),
      { seed, numRuns: 500 },
    );
    expect(compareStrings('\uFFFD', '\u{1F600}')).toBeLessThan(0);
  });

  it('order numbers as decimals do, ints beyond 2^53 included', () => {
    const number = fc.oneof(
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.maxSafeInteger(),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    );
    const near = fc
      .tuple(fc.bigInt({ min: 2n ** 53n, max: 2n ** 63n - 1n }), fc.integer({ min: -2000, max: 2000 }))
      .map(([int, off]) => [int, Number(int) + off] as const);
    fc.assert(
      fc.property(fc.oneof(fc.tuple(number, number), near), ([a, b]) => {
        expect(Math.sign(compareNumbers(a, b))).toBe(
          Math.sign(Number(scaled(a) > scaled(b)) - Number(scaled(a) < scaled(b))),
        );
        expect(compareNumbers(a, b) + compareNumbers(b, a)).toBe(0);
      }),
      { seed, numRuns: 2000 },
    );
  });
});

/** The decimal text of a number times 10^400, exactly. */
function scaled(value: number | bigint): bigint {
  const [mantissa = '0', exponent = '0'] = String(value).split('e');
  const [whole = '0', fraction = ''] = mantissa.split('.');
  return BigInt(whole + fraction) * 10n ** BigInt(400 + Number(exponent) - fraction.length);
}
