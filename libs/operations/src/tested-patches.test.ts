import { describe, expect, it } from '@jest/globals';
import type { Transaction } from '@fettle/database';
import { testedFor, testedKey } from './tested-patches.js';

describe('tested sets', () => {
  it('hold for the minor releases of systems with dnf together, and for others by themselves', () => {
    expect(testedKey('dnf', 'rocky 9.4')).toBe(testedKey('dnf', 'rocky 9.5'));
    expect(testedKey('dnf', 'rocky 9.4')).not.toBe(testedKey('dnf', 'rocky 8.10'));
    expect(testedKey('dnf', 'rocky 9.4')).not.toBe(testedKey('dnf', 'almalinux 9.4'));
    expect(testedKey('dnf', 'fedora 41')).toBe('dnf fedora 41');
    expect(testedKey('apt', 'ubuntu 22.04')).not.toBe(testedKey('apt', 'ubuntu 22.10'));
  });

  it('tell a release that nobody tested from one whose packages are not in the set', async () => {
    const kept: Record<string, Record<string, string[]>> = { 'dnf rocky 9': { 'app:x86_64': ['1', '2'] } };
    const query = (_sql: string, [, digest, key]: readonly string[]): Promise<unknown[]> =>
      Promise.resolve(digest === 'set' ? [{ versions: kept[key ?? ''] ?? null }] : []);
    const transaction = { query } as unknown as Transaction;
    const of = (release: string | null, digest = 'set') =>
      testedFor(transaction, 'default', digest, { manager: 'dnf', release });
    expect(await of('rocky 9.4')).toEqual(new Map([['app:x86_64', new Set(['1', '2'])]]));
    expect(await of('rocky 8.10')).toBeNull();
    expect(await of(null)).toBeNull();
    await expect(of('rocky 9.4', 'other')).rejects.toMatchObject({ code: 'tested-set-missing' });
  });
});
