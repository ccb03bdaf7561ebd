import { describe, expect, it } from '@jest/globals';
import { control, Play, program, target } from './testing.js';

const poll = { uses: 'http.request', with: { url: '${{ inputs.url }}' }, condition: 'result.status == 200' };
const rolled = (gate: object, extra: object = {}, steps = [target('restart')]): ReturnType<typeof program> =>
  program(steps, { rollout: { waves: [1, '50%', '100%'], gate, ...extra } });
const begin = (of: ReturnType<typeof program>): Play => new Play(of, 8, { url: 'http://health' });

/** The end of a wave of eight targets. */
const wave = (play: Play, number: number, given = {}): Play => {
  const { counts } = play.state;
  return play.feed({ kind: 'segment-ended', path: 'restart', wave: number, counts: { ...counts, ...given } });
};
const look = (play: Play, path: string, holds: boolean): Play =>
  play.feed({ kind: 'ended', path, state: 'succeeded', output: {}, holds });

describe('the gate between waves', () => {
  it('is looked at after each wave but the last, until it holds', () => {
    const play = begin(rolled({ ...poll, every: '5s', timeout: '1m' }));
    wave(play, 1);
    expect(play.commands[0]).toMatchObject({
      kind: 'run-control',
      path: 'restart#gate1',
      input: { url: 'http://health' },
      condition: 'result.status == 200',
      outputs: {},
      generation: 1,
    });
    look(play, 'restart#gate1', false);
    play.feed({ kind: 'waited', path: 'restart#gate1#pause' });
    look(play, 'restart#gate1', true);
    play.feed({ kind: 'ended', path: 'restart#gate1#deadline', state: 'cancelled' });
    wave(play, 2);
    look(play, 'restart#gate2', true);
    play.feed({ kind: 'ended', path: 'restart#gate2#deadline', state: 'cancelled' });
    wave(play, 3, { pending: 0, succeeded: 8 });
    expect(play.log).toEqual([
      'segment restart 0-0 last',
      'run restart#gate1, wait restart#gate1#deadline',
      'wait restart#gate1#pause',
      'run restart#gate1 2',
      'cancel restart#gate1#deadline',
      'gate-passed restart#gate1, segment restart 0-0 last',
      'run restart#gate2, wait restart#gate2#deadline',
      'cancel restart#gate2#deadline',
      'gate-passed restart#gate2, segment restart 0-0 last',
      'finish succeeded',
    ]);
    expect(play.state).toMatchObject({ marks: {}, outputs: {}, open: {} });
  });

  it('must hold as many times in a row as it says', () => {
    const play = begin(rolled({ ...poll, consecutive: 2 }));
    wave(play, 1);
    for (const holds of [true, false, true]) {
      look(play, 'restart#gate1', holds);
      play.feed({ kind: 'waited', path: 'restart#gate1#pause' });
    }
    look(play, 'restart#gate1', true);
    expect(play.log.slice(-2)).toEqual(['run restart#gate1 4', 'cancel restart#gate1#deadline']);
  });

  it('stops the rollout where it does not hold in its time', () => {
    const play = begin(rolled(poll));
    wave(play, 1);
    play.feed({
      kind: 'ended',
      path: 'restart#gate1',
      state: 'failed',
      error: { code: 'connection-refused', message: 'nobody there' },
    });
    play.feed({ kind: 'waited', path: 'restart#gate1#deadline' });
    play.feed({ kind: 'ended', path: 'restart#gate1#pause', state: 'cancelled' });
    expect(play.log.slice(-2)).toEqual([
      'cancel restart#gate1#pause',
      'gate-closed restart#gate1, finish failed gate-closed',
    ]);
    expect(play.commands.at(-1)).toMatchObject({
      isComplete: false,
      error: {
        message: expect.stringMatching(
          /after wave 1 of 3 did not open.*did not hold within 300 s \(1 looks\); the last one: nobody there/,
        ),
        stepId: 'restart#gate1',
      },
    });
  });

  it('decides what is required of the run once, before anything is looked at', () => {
    const of = rolled({ require: 'run.counts.failed == 0', ...poll });
    expect(wave(begin(of), 1).log.at(-1)).toBe('run restart#gate1, wait restart#gate1#deadline');
    const failing = wave(begin(of), 1, { pending: 7, failed: 1 });
    expect(failing.log.at(-1)).toBe('gate-closed restart#gate1, finish failed gate-closed');
    const open = wave(begin(rolled({ require: 'run.counts.failed == 0' })), 1);
    expect(open.log.at(-1)).toBe('gate-passed restart#gate1, segment restart 0-0 last');
    const unknown = wave(begin(rolled({ require: 'inputs.missing == 1' })), 1);
    expect(unknown.commands.at(-1)).toMatchObject({
      error: { message: expect.stringContaining('cannot be determined') },
    });
  });

  it('comes after the soak, and a cancel ends it', () => {
    const play = begin(rolled(poll, { soak: '1m' }));
    wave(play, 1);
    play.feed({ kind: 'waited', path: 'restart', wave: 1 });
    play.feed({ kind: 'cancel-requested' });
    expect(play.log.slice(-3)).toEqual([
      'wait restart',
      'run restart#gate1, wait restart#gate1#deadline',
      'cancel restart#gate1, cancel restart#gate1#deadline',
    ]);
    play.feed({ kind: 'ended', path: 'restart#gate1', state: 'cancelled' });
    play.feed({ kind: 'ended', path: 'restart#gate1#deadline', state: 'cancelled' });
    expect(play.log.at(-1)).toBe('finish cancelled');
  });

  it('does not stand after an empty wave, nor before a step that follows the last', () => {
    const play = begin(rolled(poll, {}, [target('restart'), control('tell')]));
    play.feed({ kind: 'segment-ended', path: 'restart', wave: 1, counts: play.state.counts, isEmpty: true });
    expect(play.log.at(-1)).toBe('segment restart 0-0 last');
    wave(play, 2);
    look(play, 'restart#gate2', true);
    play.feed({ kind: 'ended', path: 'restart#gate2#deadline', state: 'cancelled' });
    expect(wave(play, 3).log.at(-1)).toBe('run tell');
  });

  it('is caught by nobody but what stands around the steps, and undoes what was begun', () => {
    const undoing = target('restart', { rollback: { uses: 'ssh.run', with: { argv: ['undo'] } } });
    const play = wave(begin(rolled({ require: 'false' }, {}, [undoing])), 1);
    expect(play.log.at(-1)).toBe('gate-closed restart#gate1, undo-segment restart#undo!');
    play.ends('restart#undo');
    expect(play.log.at(-1)).toBe('finish failed gate-closed');
  });
});
