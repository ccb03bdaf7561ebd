import { describe, expect, it } from '@jest/globals';
import type { RunDetail, RunTarget } from '@fettle/contracts';
import { endedAsExpected, progressBar, targetTable } from './demo-report.js';

function counts(given: Partial<RunDetail['counts']>): RunDetail['counts'] {
  const none = {
    pending: 0,
    running: 0,
    succeeded: 0,
    failed: 0,
    skipped: 0,
    unreachable: 0,
    quarantined: 0,
    cancelled: 0,
    unknown: 0,
  };
  return { ...none, ...given };
}

function target(given: Partial<RunTarget>): RunTarget {
  return { asset: 'web-01.ber', assetId: '0', state: 'succeeded', error: null, steps: [], ...given };
}

describe('progressBar', () => {
  it('counts targets that ended, not those that run', () => {
    expect(progressBar(counts({ pending: 6, running: 6, succeeded: 10, failed: 2 }), 24)).toBe(
      '[############------------] 12 of 24 hosts done: 10 succeeded, 2 failed',
    );
  });

  it('is empty at first, and full where there is nothing to do', () => {
    expect(progressBar(counts({ pending: 24 }), 24)).toBe(`[${'-'.repeat(24)}] 0 of 24 hosts done`);
    expect(progressBar(counts({}), 0)).toBe(`[${'#'.repeat(24)}] 0 of 0 hosts done`);
  });
});

describe('targetTable', () => {
  it('quotes what the host said last, where the error does not', () => {
    const step = { step: 'check', attempt: 1, state: 'failed' as const, exitCode: 1, startedAt: '', endedAt: null };
    const error = { code: 'exit-code', message: 'It ended with 1: disk full.' };
    const failed = (lastStderr: string): RunTarget =>
      target({ state: 'failed', error, steps: [{ ...step, error, lastStderr }] });
    expect(
      targetTable([failed('no\tspace'), failed('disk full')])
        .split('\n')
        .slice(1),
    ).toEqual([
      'web-01.ber  failed  check: failed (1)  exit-code: It ended with 1: disk full.  stderr: no space',
      'web-01.ber  failed  check: failed (1)  exit-code: It ended with 1: disk full.',
    ]);
  });

  it('gives the reason on one plain line, whatever the host said', () => {
    const error = { code: 'exit-code', message: 'first\nsecond \u001b[31mred' };
    const text = targetTable([target({ state: 'failed', error }), target({ asset: 'db-01.lon' })]);
    expect(text.split('\n')).toEqual([
      'HOST        STATE      STEPS  WHY',
      'web-01.ber  failed            exit-code: first second  [31mred',
      'db-01.lon   succeeded',
    ]);
  });
});

describe('endedAsExpected', () => {
  const run = (given: Partial<RunDetail>): RunDetail => given as RunDetail;

  it('wants the state and every count, zeros included', () => {
    const expected = { succeeded: 21, failed: 1 };
    expect(
      endedAsExpected(run({ state: 'failed', counts: counts({ succeeded: 21, failed: 1 }) }), 'failed', expected),
    ).toBe(true);
    expect(
      endedAsExpected(run({ state: 'succeeded', counts: counts({ succeeded: 21, failed: 1 }) }), 'failed', expected),
    ).toBe(false);
    const more = counts({ succeeded: 21, failed: 1, unknown: 1 });
    expect(endedAsExpected(run({ state: 'failed', counts: more }), 'failed', expected)).toBe(false);
  });
});
