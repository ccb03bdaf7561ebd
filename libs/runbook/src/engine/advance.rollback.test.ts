import { describe, expect, it } from '@jest/globals';
import type { EngineEvent } from './commands.js';
import { control, Play, program, target } from './testing.js';
import { remainingUndo } from './unwind.js';

describe('rollback', () => {
  const undo = (text: string): object => ({ rollback: { uses: 'http.request', with: { url: text } } });
  const targetUndo = { rollback: { uses: 'ssh.run', with: { argv: ['true'] } } };
  const of = program([
    control('order', undo('cancel ${{ steps.order.n }}')),
    target('change', targetUndo),
    control('announce', undo('recall')),
    control('plain'),
    target('last', targetUndo),
  ]);
  const ended = (path: string, state: 'succeeded' | 'failed' = 'succeeded'): EngineEvent => ({
    kind: 'ended',
    path,
    state,
  });

  it('undoes what was begun, the last first, with what each step left, when the run breaks off', () => {
    const play = new Play(of).ends('order', { n: 7 }).segment('change').fails('announce');
    expect(play.commands).toEqual([
      expect.objectContaining({ path: 'announce#undo', phase: 'undo', input: { url: 'recall' }, shielded: true }),
    ]);
    play.feed(ended('announce#undo', 'failed'));
    expect(play.commands).toEqual([
      expect.objectContaining({ kind: 'undo-segment', path: 'change#undo', first: 0, last: 0, which: 'unfinished' }),
    ]);
    play.feed({ kind: 'cancel-requested' }).feed(ended('change#undo'));
    expect(play.commands).toEqual([expect.objectContaining({ path: 'order#undo', input: { url: 'cancel 7' } })]);
    play.feed(ended('order#undo'));
    expect(play.commands).toEqual([
      expect.objectContaining({
        state: 'failed',
        error: expect.objectContaining({ code: 'boom' }),
        rollback: { undone: ['change', 'order'], failed: ['announce'] },
      }),
    ]);
  });

  it('undoes on failed targets only where the way was gone to its end, and nothing after success', () => {
    const play = new Play(of).ends('order').segment('change').ends('announce').ends('plain');
    play.segment('last', { succeeded: 1, failed: 1 });
    expect(play.commands).toEqual([expect.objectContaining({ path: 'last#undo', which: 'failed' })]);
    play.feed(ended('last#undo')).feed(ended('change#undo'));
    expect(play.log.at(-1)).toBe('finish failed targets-failed');
    const well = new Play(of).ends('order').segment('change').ends('announce').ends('plain');
    expect(well.segment('last', { succeeded: 2 }).log.at(-1)).toBe('finish succeeded');
  });

  it('comes after finally, also on a cancel, and leaves to a person what nobody knows', () => {
    const guarded = program([{ id: 'guard', try: [control('order', undo('cancel'))], finally: [control('close')] }]);
    const play = new Play(guarded, 0).feed({ kind: 'cancel-requested' });
    play.feed({ kind: 'ended', path: 'order', state: 'cancelled' }).ends('close').feed(ended('order#undo'));
    expect(play.log).toEqual(['run order', 'cancel order', 'run close!', 'run order#undo!', 'finish cancelled']);
    const unknown = new Play(guarded, 0).feed({ kind: 'ended', path: 'order', state: 'unknown' }).ends('close');
    expect(unknown.log.at(-1)).toBe('not-undone order, finish failed step-unknown');
  });

  it('is everything, or nothing, where the runbook says so', () => {
    const steps = [control('order', undo('cancel')), target('last', targetUndo)];
    const all = new Play(program(steps, { rollback: 'all' }))
      .ends('order')
      .segment('last', { succeeded: 1, failed: 1 });
    expect(all.commands).toEqual([expect.objectContaining({ path: 'last#undo', which: 'all' })]);
    expect(all.feed(ended('last#undo')).log.at(-1)).toBe('run order#undo!');
    const none = new Play(program(steps, { rollback: 'nothing' })).fails('order');
    expect(none.log.at(-1)).toBe('finish failed boom');
  });
});

describe('rollback of calls', () => {
  const undo = (text: string): object => ({ rollback: { uses: 'http.request', with: { url: text } } });
  const call = (id: string, targets = 'own'): { id: string; call: object } => ({
    id,
    call: { runbook: 'other', targets },
  });
  const ended = (path: string, state: 'succeeded' | 'failed' | 'skipped'): EngineEvent => ({
    kind: 'ended',
    path,
    state,
  });
  const of = program([control('order', undo('cancel')), call('go'), target('change'), control('last')]);

  it('undoes the called run at its place, and says nothing of one that left nothing to undo', () => {
    const play = new Play(of).ends('order').ends('go').segment('change').fails('last');
    expect(play.commands).toEqual([{ kind: 'undo-call', path: 'go#undo', which: 'unfinished', shielded: true }]);
    expect(play.feed(ended('go#undo', 'succeeded')).log.at(-1)).toBe('run order#undo!');
    play.feed(ended('order#undo', 'succeeded'));
    expect(play.commands).toEqual([expect.objectContaining({ rollback: { undone: ['go', 'order'], failed: [] } })]);
    const empty = new Play(of).ends('order').fails('go').feed(ended('go#undo', 'skipped'));
    expect(empty.feed(ended('order#undo', 'failed')).commands).toEqual([
      expect.objectContaining({ rollback: { undone: [], failed: ['order'] } }),
    ]);
  });

  it('is about failed targets where only these failed, and then only about runs on the same targets', () => {
    const steps = program([call('own'), call('same', 'inherit'), target('change')]);
    const play = new Play(steps).ends('own').ends('same').segment('change', { succeeded: 1, failed: 1 });
    expect(play.commands).toEqual([{ kind: 'undo-call', path: 'same#undo', which: 'failed', shielded: true }]);
    expect(play.feed(ended('same#undo', 'succeeded')).log.at(-1)).toBe('finish failed targets-failed');
  });

  it('leaves to the caller what still stands of a run that has ended', () => {
    const paths = ({ state }: Play, program = of): string[] => remainingUndo(program, state).map(({ path }) => path);
    const well = new Play(of).ends('order').ends('go').segment('change').ends('last', { n: 1 });
    expect(paths(well)).toEqual(['order', 'go']);
    const broken = new Play(of).ends('order').ends('go').segment('change').fails('last');
    broken.feed(ended('go#undo', 'succeeded')).feed(ended('order#undo', 'failed'));
    expect(paths(broken)).toEqual(['go']);
    const none = program([control('order', undo('cancel'))], { rollback: 'nothing' });
    expect(paths(new Play(none).ends('order'), none)).toEqual([]);
  });
});
