import { describe, expect, it } from '@jest/globals';
import type { AssetView } from '@fettle/expression';
import { compareTargets, compileOrder, orderKey } from './order-targets.js';

const asset = (name: string, labels: Record<string, string>, facts: Record<string, unknown> = {}): AssetView => ({
  name,
  labels,
  facts,
  quarantined: false,
});

function ordered(source: string, assets: readonly AssetView[]): unknown[] {
  const order = compileOrder(source);
  return assets
    .map((one) => ({ key: orderKey(order, one), name: String(one.name) }))
    .sort(compareTargets)
    .map(({ name }) => name);
}

describe('orderBy', () => {
  it('sorts by number or text, ties by name, what is not determined last', () => {
    const assets = [
      asset('c', { rack: '10' }),
      asset('e', {}),
      asset('b', { rack: '9' }),
      asset('a', { rack: '10' }),
      asset('d', {}),
    ];
    expect(ordered('int(asset.labels.rack)', assets)).toEqual(['b', 'a', 'c', 'd', 'e']);
    expect(ordered('asset.labels.rack', assets)).toEqual(['a', 'c', 'b', 'd', 'e']);
    expect(ordered('-int(asset.labels.rack)', assets)).toEqual(['a', 'c', 'b', 'd', 'e']);
  });

  it('puts false before true, so that a condition names what comes last', () => {
    const assets = [asset('a', { role: 'primary' }), asset('b', { role: 'replica' }), asset('c', { role: 'replica' })];
    expect(ordered('asset.labels.role == "primary"', assets)).toEqual(['b', 'c', 'a']);
  });

  it('takes what has no order as not determined, and types apart', () => {
    const facts = [1.5, 'x', true, [1], null, -2].map((value, index) => asset(`h${index}`, {}, { it: value }));
    expect(ordered('asset.facts.it', facts)).toEqual(['h2', 'h5', 'h0', 'h1', 'h3', 'h4']);
  });

  it('takes numbers that JSON has not as not determined', () => {
    const assets = [asset('a', {}, { it: 0 }), asset('b', {}, { it: 2 }), asset('c', {}, { it: 1 })];
    expect(ordered('1.0 / double(asset.facts.it)', assets)).toEqual(['b', 'c', 'a']);
  });

  it('refuses what does not parse', () => {
    expect(() => compileOrder('asset.nam')).toThrow(expect.objectContaining({ code: 'invalid-expression' }));
  });
});
