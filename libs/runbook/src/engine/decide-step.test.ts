import { describe, expect, it } from '@jest/globals';
import { compileStep, retryDelayMs, stepOutputs, targetStepDecision } from './decide-step.js';

const asset = {
  name: 'web-01',
  kind: 'server',
  labels: { env: 'prod' },
  facts: { disk: { free: 12 } },
  quarantined: false,
};
const variables = { asset, inputs: { path: '/tmp/${{ 1 }}' }, steps: { probe: { size: 3 } }, run: { id: 'r' } };

describe('targetStepDecision', () => {
  it('renders the input, typed where an expression stands alone, and never renders data', () => {
    const step = {
      with: {
        argv: ['touch', '${{ inputs.path }}', 'n=${{ steps.probe.size }}'],
        size: '${{ steps.probe.size }}',
        text: '$${{ x }}',
      },
      if: 'asset.facts.disk.free > 10',
    };
    const input = { argv: ['touch', '/tmp/${{ 1 }}', 'n=3'], size: 3, text: '${{ x }}' };
    expect(targetStepDecision(step, variables)).toEqual({ kind: 'run', input });
    expect(targetStepDecision(compileStep(step, 'target'), variables)).toEqual({ kind: 'run', input });
  });

  it('skips where the condition is false, and renders nothing then', () => {
    expect(
      targetStepDecision({ with: { a: '${{ steps.no.x }}' }, if: 'asset.labels.env == "test"' }, variables),
    ).toEqual({ kind: 'skip' });
  });

  it('fails, rather than skips, where the condition is undetermined', () => {
    for (const condition of [
      'asset.facts.os.family == "debian"',
      'asset.owner == "me"',
      'steps.probe.size == "3"',
      'inputs.absent',
    ]) {
      const decision = targetStepDecision({ with: {}, if: condition }, variables);
      expect(decision).toMatchObject({ kind: 'fail', error: { code: 'condition-undetermined' } });
      expect(decision.kind === 'fail' && decision.error.message).toContain(condition);
    }
  });

  it('fails where an input has no value, and where an expression is wrong', () => {
    expect(targetStepDecision({ with: { a: '${{ inputs.absent }}' } }, variables)).toMatchObject({
      kind: 'fail',
      error: { code: 'unknown-value' },
    });
    expect(targetStepDecision({ with: { a: 'x${{ asset.labels }}' } }, variables)).toMatchObject({
      kind: 'fail',
      error: { code: 'unknown-value' },
    });
    expect(targetStepDecision({ with: { a: '${{ nope }}' } }, variables)).toMatchObject({
      kind: 'fail',
      error: { code: 'invalid-expression' },
    });
    expect(targetStepDecision({ with: {}, if: '1 +' }, variables)).toMatchObject({
      kind: 'fail',
      error: { code: 'invalid-expression' },
    });
  });
});

describe('stepOutputs', () => {
  it('keeps what is declared, or the whole result', () => {
    const result = { exitCode: 0, stdout: '42' };
    expect(stepOutputs({ answer: 'int(result.stdout) + 0', ok: 'result.exitCode == 0' }, { result })).toEqual({
      answer: 42,
      ok: true,
    });
    expect(stepOutputs(undefined, { result })).toEqual(result);
    expect(stepOutputs(null, {})).toBeNull();
    expect(() => stepOutputs({ answer: 'result.nope' }, { result })).toThrow(
      expect.objectContaining({ code: 'output-undetermined' }),
    );
  });
});

describe('retryDelayMs', () => {
  it('doubles up to the longest wait and ends after the last attempt', () => {
    const retry = { maxAttempts: 6, backoff: '5s', maxBackoff: 30 };
    expect([1, 2, 3, 4, 5, 6, 7].map((attempt) => retryDelayMs(retry, attempt))).toEqual([
      5000,
      10_000,
      20_000,
      30_000,
      30_000,
      null,
      null,
    ]);
    expect(retryDelayMs(undefined, 1)).toBeNull();
    expect(retryDelayMs({ maxAttempts: 20, backoff: '1d', maxBackoff: '2d' }, 19)).toBe(172_800_000);
    expect(() => retryDelayMs(retry, 0)).toThrow(RangeError);
  });
});
