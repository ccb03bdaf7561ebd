import { describe, expect, it } from '@jest/globals';
import type { Entry } from '@fettle/contracts';
import { rolloutNote } from './rollout-note.js';

const entry = (kind: string, data: Record<string, unknown>): Entry => ({
  seq: 1,
  at: '2026-01-01T00:00:00.000Z',
  kind,
  asset: null,
  step: 'check',
  data,
});

describe('rolloutNote', () => {
  it('says which wave begins, how long it waits, and why it stops', () => {
    expect(rolloutNote(entry('wave-started', { wave: 1, of: 3, targets: 1 }))).toBe('Wave 1 of 3: 1 target.');
    expect(rolloutNote(entry('wave-ended', { wave: 1, of: 3, soakMs: 600_000 }))).toBe(
      'Wave 1 of 3 has ended; the next one begins in 10 min 0 s.',
    );
    expect(rolloutNote(entry('wave-ended', { wave: 3, of: 3 }))).toBeNull();
    expect(rolloutNote(entry('rollout-stopped', { wave: 2, failures: 3, maxFailures: 2, undispatched: 17 }))).toBe(
      'Stopped: 3 targets failed, more than the limit of 2; 17 targets not dispatched.',
    );
    expect(rolloutNote(entry('gate-passed', { wave: 2, of: 4 }))).toBe('The gate after wave 2 of 4 is open.');
    expect(rolloutNote(entry('gate-closed', { wave: 2, of: 4, reason: '5 looks' }))).toBe(
      'Stopped: the gate after wave 2 of 4 did not open: 5 looks',
    );
    expect(rolloutNote(entry('run-started', {}))).toBeNull();
  });
});
