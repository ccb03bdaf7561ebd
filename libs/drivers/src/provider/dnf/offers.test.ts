import { describe, expect, it } from '@jest/globals';
import type { HostPackage } from '@fettle/contracts';
import { offersOf } from './offers.js';

const installed = (name: string, architecture = 'noarch'): HostPackage => {
  return { name, architecture, version: '1-1', state: 'installed', isHeld: false };
};
const one = (name: string, version: string, architecture = 'noarch') => ({ name, architecture, version });
const advice = (name: string, version: string) => ({ ...one(name, version), severity: 'Critical' });
const plain = { isSecurity: false, severity: null };
const grave = { isSecurity: true, severity: 'Critical' };

describe('what packages are offered', () => {
  it('has what is kept back and holds the fix of an advisory that nothing let through does', () => {
    const upgrades = [one('app', '2-1'), one('app', '3-1')];
    const only = (advised: string) =>
      offersOf([installed('app')], {
        upgrades,
        advised: [advice('app', advised)],
        allows: ({ version }) => version === '2-1',
      }).map(({ isHeld, newer }) => ({ isHeld, newer }));
    expect(only('2-1')).toEqual([{ isHeld: false, newer: [{ version: '2-1', ...grave }] }]);
    expect(only('3-1')).toEqual([
      { isHeld: false, newer: [{ version: '2-1', ...plain }] },
      {
        isHeld: true,
        newer: [
          { version: '3-1', ...grave },
          { version: '2-1', ...plain },
        ],
      },
    ]);
    // No source has it.
    expect(only('4-1')).toEqual([{ isHeld: false, newer: [{ version: '2-1', ...plain }] }]);
  });

  it('may be for another architecture, where one of the two is for any', () => {
    const packages = [
      installed('app'),
      installed('lib', 'x86_64'),
      installed('lib', 'i686'),
      installed('more', 'x86_64'),
    ];
    const upgrades = [
      one('app', '2-1', 'i686'),
      one('app', '2-1', 'x86_64'),
      one('lib', '2-1', 'x86_64'),
      one('more', '2-1'),
      one('more', '2-1', 'x86_64'),
      one('more', '3-1'),
    ];
    expect(offersOf(packages, { upgrades, advised: [], allows: () => true })).toMatchObject([
      { name: 'app', architecture: 'noarch', newer: [{ version: '2-1', toArchitecture: 'x86_64' }] },
      { name: 'lib', architecture: 'x86_64', newer: [{ version: '2-1', ...plain }] },
      {
        name: 'more',
        architecture: 'x86_64',
        newer: [
          { version: '3-1', toArchitecture: 'noarch' },
          { version: '2-1', ...plain },
        ],
      },
    ]);
  });
});
