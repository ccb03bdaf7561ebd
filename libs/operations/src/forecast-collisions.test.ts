import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { findCollisions, type Occupation } from './forecast-collisions.js';

const at = '2026-11-23T00:00:00.000Z';
function occupation(name: string, startMs: number, endMs: number, more: Partial<Occupation> = {}): Occupation {
  const empty = { lock: null, assets: new Map<string, string>(), wants: new Map<string, number>() };
  return { other: { schedule: name, at }, startMs, endMs, ...empty, ...more };
}
const assets = (...names: string[]): ReadonlyMap<string, string> => new Map(names.map((name) => [`id-${name}`, name]));

describe('collisions of coming runs', () => {
  it('tells the later of two that change the same assets, what they share, and of whom', () => {
    const { findings, isCut } = findCollisions(
      [
        occupation('late', 50, 150, { lock: 'exclusive', assets: assets('b', 'c', 'd') }),
        occupation('early', 0, 100, { lock: 'exclusive', assets: assets('a', 'b', 'c') }),
        occupation('after', 100, 120, { lock: 'exclusive', assets: assets('a') }),
      ],
      new Map(),
      1,
    );
    expect(isCut).toBe(false);
    expect(findings.map((list) => list.map(({ kind, with: other, assets: both }) => ({ kind, other, both })))).toEqual([
      [{ kind: 'asset', other: { schedule: 'early', at }, both: { count: 2, names: ['b', 'c'] } }],
      [],
      [],
    ]);
  });

  it('lets those who only look, and those who share, be', () => {
    const both = assets('a');
    const pairs = [
      [null, 'exclusive', 0],
      ['shared', 'shared', 0],
      ['shared', 'exclusive', 1],
      ['exclusive', 'exclusive', 1],
    ] as const;
    for (const [first, second, expected] of pairs) {
      const list = [
        occupation('a', 0, 10, { lock: first, assets: both }),
        occupation('b', 5, 15, { lock: second, assets: both }),
      ];
      expect(findCollisions(list, new Map(), 1).findings.flat()).toHaveLength(expected);
    }
  });

  it('stops at its limit and says so', () => {
    const list = Array.from({ length: 20 }, (_, index) => occupation(`s${index}`, index, 100));
    expect(findCollisions(list, new Map(), 1, 10).isCut).toBe(true);
    expect(findCollisions(list, new Map(), 1, 190).isCut).toBe(false);
  });

  it('agrees with a naive model that looks at each start by itself (property)', () => {
    const one = fc.record({
      start: fc.nat(30),
      length: fc.integer({ min: 1, max: 15 }),
      units: fc.integer({ min: 1, max: 4 }),
      key: fc.constantFrom('site:ber', 'db:x'),
      lock: fc.constantFrom('exclusive' as const, 'shared' as const, null),
      names: fc.subarray(['a', 'b', 'c', 'd']),
    });
    fc.assert(
      fc.property(fc.array(one, { maxLength: 12 }), fc.integer({ min: 1, max: 5 }), (input, limit) => {
        const list = input.map(({ start, length, units, key, lock, names }, index) =>
          occupation(`s${index}`, start, start + length, {
            lock,
            assets: assets(...names),
            wants: new Map([[key, units]]),
          }),
        );
        const { findings } = findCollisions(list, new Map([['site:ber', limit]]), 1);
        input.forEach((own, index) => {
          const before = input.filter((other, position) => {
            const isEarlier = other.start < own.start || (other.start === own.start && position < index);
            return position !== index && isEarlier && other.start + other.length > own.start;
          });
          const sharing = before.filter(
            (other) =>
              own.lock !== null &&
              other.lock !== null &&
              (own.lock === 'exclusive' || other.lock === 'exclusive') &&
              other.names.some((name) => own.names.includes(name)),
          );
          const used = before.filter(({ key }) => key === own.key).reduce((sum, { units }) => sum + units, 0);
          const most = own.key === 'site:ber' ? limit : 1;
          const found = findings[index]!;
          expect(found.filter(({ kind }) => kind === 'asset')).toHaveLength(sharing.length);
          expect(found.filter(({ kind }) => kind === 'capacity')).toHaveLength(used + own.units > most ? 1 : 0);
        });
      }),
    );
  });
});
