import { describe, expect, it } from '@jest/globals';
import { makeMemo, type JournaledStep, type RunJournal } from './make-memo.js';
import { control, program, target } from './testing.js';

const step = (path: string, state: JournaledStep['state'] = 'succeeded'): JournaledStep => ({
  ...{ path, state, output: null, error: null, holds: null },
  ...{ isUndone: false, resolvedAs: null, isCarried: false },
});
const journal = (steps: readonly JournaledStep[], more: Partial<RunJournal> = {}): RunJournal => ({
  ...{ steps, chosen: {}, passed: [], caught: [], onTargets: [], lacking: [], isComplete: false },
  ...more,
});
const silenced = (body: Parameters<typeof program>[0], more: object = {}) => ({
  ...{ id: 'guarded', try: [control('silence'), ...body], finally: [control('unsilence')] },
  ...more,
});
const both = [step('silence'), step('unsilence')];
const known = (of: ReturnType<typeof program>, given: RunJournal): string[] => Object.keys(makeMemo(of, given).ends);

describe('what a resumed run takes as known of a `try` whose `finally` was begun', () => {
  const onTargets = ['restart'];
  const extra = { rollout: { maxFailures: '10%' } };

  it('is nothing where targets failed: they need its set-up again', () => {
    const of = program([control('before'), silenced([target('restart')])], extra);
    const ended = journal([step('before'), ...both], { onTargets, lacking: onTargets, isComplete: true });
    expect(known(of, ended)).toEqual(['before']);
  });

  it('is nothing either where the steps on targets are deeper, or a branch led there', () => {
    const deep = { id: 'which', choose: [{ when: 'true', steps: [target('restart')] }] };
    const of = program(
      [control('before'), { id: 'outer', try: [silenced([deep])], finally: [control('tidy')] }],
      extra,
    );
    const steps = [step('before'), ...both, step('tidy')];
    const memo = makeMemo(
      of,
      journal(steps, { onTargets, lacking: onTargets, chosen: { which: 0 }, isComplete: true }),
    );
    expect(memo).toEqual({ ends: { before: { state: 'succeeded' } }, chosen: {} });
  });

  it('is all of it where there are no targets in it, or the run went on behind it', () => {
    const without = program([silenced([control('call')]), target('restart')], extra);
    const ended = journal([...both, step('call')], { onTargets, lacking: onTargets, isComplete: true });
    expect(known(without, ended)).toEqual(['silence', 'call', 'unsilence']);
    const behind = program([silenced([target('restart')]), control('report')], extra);
    const failed = journal([...both, step('report', 'failed')], { onTargets });
    expect(known(behind, failed)).toEqual(['silence', 'unsilence']);
  });

  it('is nothing where the run went on behind it although targets failed in it, and what is behind it stays known', () => {
    const body = [silenced([target('restart')]), control('tell')];
    const given = (more: Partial<RunJournal>): RunJournal =>
      journal([...both, step('tell')], { onTargets, isComplete: true, ...more });
    expect(known(program(body, extra), given({ lacking: onTargets }))).toEqual(['tell']);
    // They failed elsewhere.
    const later = program([...body, target('later')], extra);
    const elsewhere = given({ onTargets: ['restart', 'later'], lacking: ['later'] });
    expect(known(later, elsewhere)).toEqual(['silence', 'unsilence', 'tell']);
    const loop = { id: 'each', forEach: { items: ['a', 'b'], as: 'x', steps: [target('restart')] } };
    const looped = program([silenced([loop]), control('tell')], extra);
    expect(known(looped, given({ onTargets: ['each[a]/restart'], lacking: ['each[b]/restart'] }))).toEqual(['tell']);
  });

  it('is what ended well where its `finally` was not begun', () => {
    const of = program([silenced([target('restart')])], extra);
    expect(known(of, journal([step('silence')], { onTargets }))).toEqual(['silence']);
  });
});
