import { describe, expect, it } from '@jest/globals';
import { PATCHES_KEPT_MS } from '@fettle/database';
import { isForgotten } from './restore.js';

describe('an installation of which the ledger has nothing', () => {
  it('is forgotten if its step is older than what is kept, and chose nothing if it is not', () => {
    const nowMs = Date.UTC(2026, 10, 23);
    const begun = (agoMs: number) => ({ of: 'succeeded' as const, startedAt: new Date(nowMs - agoMs) });
    expect(isForgotten(begun(PATCHES_KEPT_MS), nowMs)).toBe(true);
    expect(isForgotten(begun(PATCHES_KEPT_MS - 1), nowMs)).toBe(false);
    expect(isForgotten({ of: 'failed', startedAt: null }, nowMs)).toBe(false);
  });
});
