import { describe, expect, it } from '@jest/globals';
import { runbookSpecSchema, STOPPED } from '@fettle/contracts';
import type { ClaimedTarget } from '@fettle/database';
import { compileRunbook, type TargetCode } from '@fettle/runbook';
import { actionContracts } from '../contracts.js';
import { decideNext, tellLeft } from './decide-next.js';
import type { AttemptOutcome } from './execute-attempt.js';

const run = (id: string, more: object = {}) => ({ id, uses: 'ssh.run', with: { argv: ['true'] }, ...more });
function codesOf(steps: object[]): readonly TargetCode[] {
  return compileRunbook(runbookSpecSchema.parse({ targets: 'true', steps }), actionContracts).targetCodes;
}
const target = (more: Partial<ClaimedTarget> = {}): ClaimedTarget => ({
  ...{
    assetId: 'a',
    assetName: 'a',
    state: 'running',
    stepIndex: 0,
    generation: 1,
    outputs: {},
    failing: 0,
    isParked: false,
    error: null,
    lane: 0,
    laneEpoch: 1,
  },
  ...more,
});
const outcome = (state: AttemptOutcome['state'], more: Partial<AttemptOutcome> = {}): AttemptOutcome => ({
  ...{ state, exitCode: null, error: null, output: null },
  ...more,
});
const whole = { lastStep: 99, isLast: true };

describe('where a target goes after an attempt', () => {
  const plain = codesOf([run('a'), run('b')]);
  const decide = (
    code: number,
    end: AttemptOutcome,
    more: Partial<ClaimedTarget> = {},
    segment = { lastStep: 1, isLast: true },
  ) => decideNext(target(more), plain[code]!, end, segment);

  it('goes on, ends at the last step of the last segment, and stays open before another one', () => {
    expect(decide(0, outcome('succeeded'))).toEqual({ kind: 'advance', stepIndex: 1 });
    expect(decide(1, outcome('succeeded'))).toEqual({ kind: 'end', state: 'succeeded' });
    expect(decide(1, outcome('succeeded'), {}, { lastStep: 1, isLast: false })).toEqual({
      kind: 'advance',
      stepIndex: 2,
    });
  });

  it('is skipped only where nothing was executed on it', () => {
    expect(decide(1, outcome('skipped'))).toEqual({ kind: 'end', state: 'skipped' });
    expect(decide(1, outcome('skipped'), { outputs: { a: {} } })).toEqual({ kind: 'end', state: 'succeeded' });
    const error = { code: 'x', message: 'caught before' };
    expect(decide(1, outcome('skipped'), { error })).toEqual({ kind: 'end', state: 'succeeded' });
  });

  const guarded = codesOf([
    { id: 't', try: [run('a', { onError: 'continue' })], catch: [run('c')], finally: [run('f'), run('g')] },
  ]);

  it.each(['unreachable', 'quarantined', 'unknown'] as const)(
    '%s ends it whatever stands around, and it is said what of the finally is left',
    (state) => {
      const [code] = guarded;
      const next = decideNext(target(), code!, outcome(state), whole);
      expect(next).toEqual({ kind: 'end', state });
      const journal = { codes: guarded, prefix: 'each[x]/' };
      expect(tellLeft(next, outcome(state), code!, journal)).toEqual({
        ...{ kind: 'end', state, finallyLeft: ['each[x]/f', 'each[x]/g'] },
      });
      expect(tellLeft(next, outcome(state), guarded[3]!, journal)).toEqual(next);
    },
  );

  it('goes to the finally where a cancel has stopped it, and no further where that is stopped', () => {
    const [body, caught, first, second] = guarded;
    const stopped = { kind: 'advance', stepIndex: 2, failing: STOPPED };
    expect(decideNext(target(), body!, outcome('cancelled'), whole)).toEqual(stopped);
    expect(decideNext(target(), caught!, outcome('cancelled'), whole)).toEqual(stopped);
    const on = target({ failing: STOPPED });
    expect(decideNext(on, first!, outcome('succeeded'), whole)).toEqual({ ...stopped, stepIndex: 3 });
    expect(decideNext(on, first!, outcome('failed'), whole)).toEqual({ kind: 'end', state: 'failed' });
    expect(decideNext(on, second!, outcome('succeeded'), whole)).toEqual({ kind: 'end', state: 'cancelled' });
    const late = decideNext(on, first!, outcome('cancelled'), { ...whole, onlyFinally: true });
    expect(late).toEqual({ kind: 'end', state: 'cancelled' });
    expect(tellLeft(late, outcome('cancelled'), first!, { codes: guarded, prefix: undefined })).toEqual({
      ...{ kind: 'end', state: 'cancelled', finallyLeft: ['g'] },
    });
    // Nothing is left of a finally that has ended.
    expect(
      tellLeft({ kind: 'end', state: 'cancelled' }, outcome('succeeded'), second!, { codes: guarded, prefix: '' }),
    ).toEqual({ kind: 'end', state: 'cancelled' });
  });

  it('tries again only what may be tried again', () => {
    const [code] = codesOf([run('a', { retry: { maxAttempts: 2, backoff: '1s' } })]);
    const next = (end: AttemptOutcome, generation = 1) => decideNext(target({ generation }), code!, end, whole);
    expect(next(outcome('failed'))).toEqual({ kind: 'retry', delayMs: 1000 });
    expect(next(outcome('unreachable'))).toEqual({ kind: 'retry', delayMs: 1000 });
    expect(next(outcome('failed', { final: true }))).toEqual({ kind: 'end', state: 'failed' });
    expect(next(outcome('failed'), 2)).toEqual({ kind: 'end', state: 'failed' });
    expect(next(outcome('unknown'))).toEqual({ kind: 'end', state: 'unknown' });
  });

  it('goes into a catch with the error, through a finally with the failure put off, and fails behind it', () => {
    const [body, caught, last] = codesOf([{ id: 't', try: [run('a')], catch: [run('c')], finally: [run('f')] }]);
    expect(decideNext(target(), body!, outcome('failed'), whole)).toEqual({
      kind: 'advance',
      stepIndex: 1,
      isCaught: true,
    });
    expect(decideNext(target(), body!, outcome('succeeded'), whole)).toEqual({ kind: 'advance', stepIndex: 2 });
    expect(decideNext(target(), caught!, outcome('failed'), whole)).toEqual({
      ...{ kind: 'advance', stepIndex: 2, failing: 1, isCaught: true },
    });
    expect(decideNext(target({ failing: 1 }), last!, outcome('succeeded'), whole)).toEqual({
      kind: 'end',
      state: 'failed',
    });
    expect(decideNext(target({ failing: 0 }), last!, outcome('succeeded'), { lastStep: 2, isLast: true })).toEqual({
      ...{ kind: 'end', state: 'succeeded' },
    });
  });
});
