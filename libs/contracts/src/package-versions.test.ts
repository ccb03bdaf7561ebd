import { describe, expect, it } from '@jest/globals';
import { compareDebianVersions, compareRpmVersions } from './package-versions.js';

/** From the older to the newer. */
const debian = [
  '1.0~~',
  '1.0~rc1',
  '1.0',
  '1.0-0.1',
  '1.0-1',
  '1.0-1+b1',
  '1.0-1+deb12u1',
  '1.0-1.1',
  '1.0a',
  '1.0+dfsg',
  '1.0+dfsg1-2~bpo12+1',
  '1.0+dfsg1-2',
  '1.0.1',
  '1.9',
  '1.10',
  '9999999999999999999998',
  '9999999999999999999999',
  '1:0.1',
  '2:0~',
];

/** As rpm's own tests have them (tests/rpmvercmp.at). */
const rpm = [
  '1.0~rc1',
  '1.0',
  '1.0^',
  '1.0^git1',
  '1.0.1',
  '1.0.1^git1',
  '2.0.a',
  '2.0.1',
  '2.0.1a',
  '2.0.10',
  '10xyz',
  '10.1xyz',
  '1:0.1-1',
];

describe('versions of packages', () => {
  it('of Debian stand in their order', () => {
    for (const [at, a] of debian.entries())
      for (const [other, b] of debian.entries())
        expect([a, b, Math.sign(compareDebianVersions(a, b))]).toEqual([a, b, Math.sign(at - other)]);
  });

  it('of rpm stand in their order', () => {
    for (const [at, a] of rpm.entries())
      for (const [other, b] of rpm.entries())
        expect([a, b, Math.sign(compareRpmVersions(a, b))]).toEqual([a, b, Math.sign(at - other)]);
  });

  it('of Debian are equal to dpkg where zeros and missing parts are', () => {
    for (const [a, b] of [
      ['0:1.0', '1.0'],
      ['1.0-0', '1.0'],
      ['1.00', '1.0'],
      ['1.0-', '1.0'],
    ] as const)
      expect(compareDebianVersions(a, b)).toBe(0);
  });
});
