import { spawnSync } from 'node:child_process';
import { describe, expect, it } from '@jest/globals';
import { compareDebianVersions } from '@fettle/contracts';

const ROUNDS = Number(process.env['FETTLE_LONG'] ?? 0) === 1 ? 5_000 : 200;

describe('versions of Debian packages', () => {
  it('compare as dpkg says', () => {
    const seed = Number(process.env['FETTLE_SEED'] ?? Date.now() % 2147483648);
    console.log(`versions.test.ts: FETTLE_SEED=${seed}`);
    let state = seed;
    const next = (limit: number): number => {
      state = (state * 16807) % 2147483647 || 1;
      return state % limit;
    };
    // Never ends in a dash, which dpkg refuses as an empty revision.
    const text = (): string =>
      `1${Array.from({ length: next(6) }, () => '019.a~Z+-'[next(9)] ?? '').join('')}${next(3)}`;
    for (let round = 0; round < ROUNDS; round += 1) {
      const [a, b] = [text(), text()];
      const { status } = spawnSync('dpkg', ['--compare-versions', a, 'lt', b]);
      expect([a, b, compareDebianVersions(a, b) < 0]).toEqual([a, b, status === 0]);
    }
  }, 300_000);
});
