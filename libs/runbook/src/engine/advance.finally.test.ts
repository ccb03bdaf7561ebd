import { describe, expect, it } from '@jest/globals';
import type { EngineCommand } from './commands.js';
import type { Program, TargetsNode } from './program-nodes.js';
import { control, counts, Play, program, target, type StepSource } from './testing.js';

const guarded = (more: object = {}): StepSource => ({
  id: 'guard',
  try: [target('enter'), target('work')],
  finally: [target('clean', more)],
});
const cancelled = (play: Play, path: string, pending = 2): Play =>
  play.feed({ kind: 'segment-ended', path, counts: counts({ pending }), isCancelled: true });
const dispatched = ({ commands }: Play): Extract<EngineCommand, { kind: 'dispatch-segment' }> => {
  const command = commands.find((one) => one.kind === 'dispatch-segment');
  if (command?.kind !== 'dispatch-segment') throw new Error('no segment was dispatched');
  return command;
};

describe('a cancel, and the finally of targets', () => {
  it('dispatches the segment once more, for that alone, and nothing cancels it', () => {
    const play = new Play(program([guarded(), control('after')]));
    const first = dispatched(play);
    expect(first.onlyFinally).toBeUndefined();
    play.feed({ kind: 'cancel-requested' });
    cancelled(play, 'enter');
    expect(dispatched(play)).toEqual({ ...first, enters: false, shielded: true, onlyFinally: { limitMs: 300_000 } });
    play.feed({ kind: 'cancel-requested' }).feed({ kind: 'timed-out' });
    play.segment('enter', { cancelled: 2 });
    expect(play.log.slice(1)).toEqual(['cancel enter', 'segment enter 0-2 last!', '', '', 'finish cancelled']);
  });

  it('comes before the finally of the run around it, and before the rollback', () => {
    const back = { rollback: { uses: 'ssh.run' } };
    const inner = { ...guarded(), try: [target('enter', back), target('work')] };
    const of = program([{ id: 'whole', try: [control('announce'), inner], finally: [control('tell')] }]);
    const play = new Play(of).ends('announce').feed({ kind: 'timed-out' });
    cancelled(play, 'enter').segment('enter', { cancelled: 2 }).ends('tell').ends('enter#undo');
    expect(play.log.slice(1)).toEqual([
      expect.stringContaining('segment enter'),
      'cancel enter',
      'segment enter 0-2 last!',
      'run tell!',
      'undo-segment enter#undo!',
      'finish timed-out run-timed-out',
    ]);
  });

  it('is of the wave that was under way, and of none where the targets stand between two', () => {
    const rollout = { waves: [1, '100%'], soak: '1s' };
    const inWave = new Play(program([guarded()], { rollout })).feed({ kind: 'cancel-requested' });
    inWave.feed({ kind: 'segment-ended', path: 'enter', counts: counts({ pending: 2 }), wave: 1, isCancelled: true });
    expect(dispatched(inWave)).toMatchObject({ wave: { number: 1, of: 2 }, onlyFinally: {} });
    inWave.feed({ kind: 'segment-ended', path: 'enter', counts: counts({ cancelled: 2 }), wave: 1 });
    expect(inWave.log.at(-1)).toBe('finish cancelled');

    const between = new Play(program([guarded()], { rollout }));
    between.feed({ kind: 'segment-ended', path: 'enter', counts: counts({ pending: 2 }), wave: 1 });
    between.feed({ kind: 'cancel-requested' }).feed({ kind: 'ended', path: 'enter', state: 'cancelled' });
    expect(between.log.slice(1)).toEqual(['wait enter', 'cancel enter', 'finish cancelled']);
  });

  it.each([
    ['has none', program([target('enter'), target('clean')])],
    ['is of a program of an earlier release', withoutFinally(program([guarded()]))],
  ])('is none where a segment %s', (_what, of) => {
    const play = cancelled(new Play(of).feed({ kind: 'cancel-requested' }), 'enter');
    expect(play.log.at(-1)).toBe('finish cancelled');
  });

  it('is none where the segment came to its end all the same', () => {
    const play = new Play(program([guarded(), control('after')])).feed({ kind: 'cancel-requested' });
    expect(play.segment('enter').log.at(-1)).toBe('finish cancelled');
  });

  it('is gone through where a branch is cancelled, which ends only then', () => {
    const branches = { one: [guarded()], two: [control('breaks')] };
    const play = new Play(
      program([{ id: 'both', parallel: branches, failFast: true, onError: 'continue' }, control('after')]),
    );
    play.fails('breaks');
    cancelled(play, 'enter').segment('enter', { cancelled: 2 });
    expect(play.log.slice(1)).toEqual(['cancel enter', 'segment enter 0-2!', 'failure-passed both, run after']);
  });

  it.each([
    [2, 500, {}, 'cancel-requested', 5],
    [10, 3, {}, 'cancel-requested', 20],
    [2, 500, { timeout: '20m' }, 'cancel-requested', 25],
    [2, 500, { timeout: '20m' }, 'timed-out', 8],
    [100_000, 10, {}, 'cancel-requested', 60],
  ] as const)(
    '%s targets, %s at once, with %j after %s: %s minutes',
    (pending, maxConcurrency, more, kind, minutes) => {
      const play = new Play(program([guarded(more)], { rollout: { maxConcurrency } }), pending).feed({ kind });
      cancelled(play, 'enter', pending);
      expect(dispatched(play).onlyFinally).toEqual({ limitMs: minutes * 60_000 });
    },
  );
});

function withoutFinally(of: Program): Program {
  const nodes = of.nodes.map((node) => {
    const { finallySeconds: _seconds, ...rest } = node as TargetsNode;
    return rest;
  });
  return { ...of, nodes };
}
