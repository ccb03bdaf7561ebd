import { describe, expect, it } from '@jest/globals';
import type { EngineEvent } from './commands.js';
import { control, Play, program, target, type StepSource } from './testing.js';

describe('parallel', () => {
  const of = program([
    { id: 'both', parallel: { a: [control('a1'), control('a2')], b: [control('b1')] } },
    control('after', { with: { url: '${{ steps.a1.x }}${{ steps.b1.x }}' } }),
  ]);

  it('runs branches beside each other and goes on when all have ended', () => {
    const play = new Play(of, 0).ends('b1', { x: 1 }).ends('a1', { x: 2 }).ends('a2').ends('after');
    expect(play.log).toEqual(['run a1, run b1', '', 'run a2', 'run after', 'finish succeeded']);
  });

  it('lets the other branches end when one fails, or cancels them', () => {
    expect(new Play(of, 0).fails('b1').ends('a1').ends('a2').log).toEqual([
      'run a1, run b1',
      '',
      'run a2',
      'finish failed boom',
    ]);
    const fast = program([
      { id: 'both', failFast: true, parallel: { a: [control('a1'), control('a2')], b: [control('b1')] } },
    ]);
    const play = new Play(fast, 0).fails('b1').feed({ kind: 'ended', path: 'a1', state: 'cancelled' });
    expect(play.log).toEqual(['run a1, run b1', 'cancel a1', 'finish failed boom']);
  });

  it('gives segments of its branches their turn one after the other', () => {
    const turns = program([
      { id: 'both', parallel: { a: [target('a1'), control('a2')], b: [target('b1')] } },
      target('after'),
    ]);
    const play = new Play(turns).segment('a1').segment('b1').ends('a2').segment('after', { succeeded: 2 });
    expect(play.log).toEqual([
      'segment a1 0-0',
      'run a2, segment b1 1-1',
      '',
      'segment after 2-2 last',
      'finish succeeded',
    ]);
  });
});

describe('forEach', () => {
  const loop = (extra: object, steps: readonly StepSource[] = [control('go', { with: { url: '${{ item.site }}' } })]) =>
    program([{ id: 'each', forEach: { as: 'site', ...extra, steps } }]);

  it('goes over a list one after the other, over inputs, and over nothing', () => {
    const play = new Play(loop({ items: 'inputs.sites' }), 0, { sites: ['ber', 'muc'] });
    expect(play.commands).toContainEqual(expect.objectContaining({ kind: 'run-control', input: { url: 'ber' } }));
    play.ends('each[ber]/go').ends('each[muc]/go');
    expect(play.log).toEqual([
      'iteration-started each[ber], run each[ber]/go',
      'iteration-started each[muc], run each[muc]/go',
      'finish succeeded',
    ]);
    expect(new Play(loop({ items: [] }), 0).log).toEqual(['finish succeeded']);
    expect(new Play(loop({ items: 'inputs.none' }), 0).log).toEqual(['fail-step each, finish failed invalid-items']);
  });

  it('keeps to its concurrency, stops at a failure, or goes on', () => {
    const wide = new Play(loop({ items: [1, 2, 3], concurrency: 2 }), 0);
    expect(wide.log[0]).toBe('iteration-started each[1], run each[1]/go, iteration-started each[2], run each[2]/go');
    wide.ends('each[2]/go').fails('each[1]/go').feed({ kind: 'ended', path: 'each[3]/go', state: 'cancelled' });
    expect(wide.log.slice(1)).toEqual([
      'iteration-started each[3], run each[3]/go',
      'cancel each[3]/go',
      'finish failed boom',
    ]);
    const lenient = new Play(loop({ items: [1, 2], failFast: false }), 0).fails('each[1]/go').ends('each[2]/go');
    expect(lenient.log.slice(1)).toEqual(['iteration-started each[2], run each[2]/go', 'finish failed boom']);
  });

  it('leaves what its outputs say, and forgets its iterations', () => {
    const of = program([
      {
        id: 'each',
        forEach: { items: ['a', 'b'], as: 'x', steps: [control('go')] },
        outputs: { sum: 'result[0].outputs.go.n + result[1].outputs.go.n', keys: 'result.map(r, r.key)' },
      },
      control('after', { with: { url: '${{ steps.each.sum }}' } }),
    ]);
    const play = new Play(of, 0).ends('each[a]/go', { n: 1 }).ends('each[b]/go', { n: 2 });
    expect(play.commands).toEqual([expect.objectContaining({ kind: 'run-control', input: { url: 3 } })]);
    expect(play.state.outputs).toEqual({ each: { sum: 3, keys: ['a', 'b'] } });
    expect(play.state.done).toEqual({ each: { state: 'ok' } });
  });

  it('moves targets back to the segment of its body', () => {
    const play = new Play(loop({ items: ['a', 'b'] }, [target('go')])).segment('each[a]/go').segment('each[b]/go');
    expect(play.log).toEqual([
      'iteration-started each[a], segment each[a]/go 0-0',
      'iteration-started each[b], segment each[b]/go enters 0-0',
      'finish succeeded',
    ]);
    expect(play.commands).toEqual([expect.objectContaining({ isComplete: true })]);
  });
});

describe('choose', () => {
  const of = program([
    {
      id: 'pick',
      choose: [
        { when: 'inputs.mode == "a"', steps: [control('a1')] },
        { when: 'inputs.mode == "b"', steps: [target('b1')] },
      ],
    },
    target('after'),
  ]);

  it('takes the first branch that fits, or none', () => {
    expect(new Play(of, 2, { mode: 'a' }).ends('a1').log).toEqual([
      'branch-chosen pick, run a1',
      'segment after enters 1-1 last',
    ]);
    expect(new Play(of, 2, { mode: 'b' }).segment('b1').log[1]).toBe('segment after 1-1 last');
    expect(new Play(of, 2, { mode: 'c' }).log).toEqual(['skip-step pick, segment after enters 1-1 last']);
    expect(new Play(of, 2, {}).log).toEqual(['fail-step pick, finish failed condition-undetermined']);
  });
});

describe('try', () => {
  const of = program([
    {
      id: 'guard',
      try: [control('body'), control('more')],
      catch: [control('mend', { with: { url: '${{ error.code }} ${{ error.step }}' } })],
      finally: [control('last')],
    },
    control('after'),
  ]);

  it('catches a failure with its reason and always comes to finally', () => {
    const play = new Play(of, 0).fails('body');
    expect(play.commands).toContainEqual(expect.objectContaining({ path: 'mend', input: { url: 'boom body' } }));
    play.ends('mend').ends('last').ends('after');
    expect(play.log).toEqual([
      'run body',
      'failure-caught guard, run mend',
      'run last!',
      'run after',
      'finish succeeded',
    ]);
    expect(new Play(of, 0).ends('body').ends('more').log[2]).toBe('run last!');
    const bad = new Play(of, 0).fails('body').fails('mend', 'worse').ends('last');
    expect(bad.log.at(-1)).toBe('finish failed worse');
  });

  it('comes to finally when the run is cancelled, and to nothing else', () => {
    const play = new Play(of, 0).feed({ kind: 'cancel-requested' });
    play.feed({ kind: 'ended', path: 'body', state: 'cancelled' }).ends('last');
    expect(play.log).toEqual(['run body', 'cancel body', 'run last!', 'finish cancelled']);
  });

  it('lets finally end although the cancel comes in the midst of it', () => {
    const play = new Play(of, 0).ends('body').ends('more').feed({ kind: 'cancel-requested' }).ends('last');
    expect(play.log.slice(2)).toEqual(['run last!', '', 'finish cancelled']);
  });

  it('is what a handler is, and stands in the path of its steps', () => {
    const handled = program([control('risky', { onError: 'recover' }), control('after')], {
      handlers: { recover: [control('mend')] },
    });
    const play = new Play(handled, 0).fails('risky').ends('risky!recover/mend').ends('after');
    expect(play.log).toEqual([
      'run risky',
      'failure-caught risky!recover, run risky!recover/mend',
      'run after',
      'finish succeeded',
    ]);
  });

  it('joins a segment where it holds steps on targets only', () => {
    const joined = program([
      target('one'),
      { id: 'guard', try: [target('two')], finally: [target('three')] },
      target('four'),
    ]);
    expect(new Play(joined).log).toEqual(['segment one 0-3 last']);
  });
});

describe('waits, calls, approvals and capacity', () => {
  it('pause, wait for a moment, a signal, another runbook and a person', () => {
    const of = program([
      { id: 'pause', wait: { duration: '5m' } },
      { id: 'until', wait: { until: '${{ inputs.at }}' } },
      { id: 'signal', wait: { signal: 'go' }, outputs: { who: 'result.who' } },
      { id: 'sub', call: { runbook: 'other', inputs: { x: '${{ inputs.at }}' } } },
      { id: 'ask', approval: { roles: ['admin'], message: 'Really ${{ steps.sub.n }}?' } },
    ]);
    const at = '2026-01-01T00:00:00Z';
    const play = new Play(of, 0, { at }).feed({ kind: 'waited', path: 'pause' });
    expect(play.commands).toEqual([{ kind: 'wait-until', path: 'until', until: at }]);
    play.feed({ kind: 'waited', path: 'until' }).ends('signal', { who: 'me' });
    expect(play.commands).toEqual([expect.objectContaining({ kind: 'call', inputs: { x: at } })]);
    play.ends('sub', { n: 7 });
    expect(play.commands).toEqual([expect.objectContaining({ kind: 'ask-approval', message: 'Really 7?' })]);
    play.fails('ask', 'approval-rejected');
    expect(play.log.at(-1)).toBe('undo-call sub#undo!');
    play.feed({ kind: 'ended', path: 'sub#undo', state: 'skipped' });
    expect(play.log.at(-1)).toBe('finish failed approval-rejected');
  });

  const poll = program([
    { id: 'healthy', wait: { uses: 'http.request', condition: 'result.status == 200', every: '5s', timeout: '1m' } },
  ]);
  const looked = (holds: boolean, generation: number): EngineEvent => ({
    kind: 'ended',
    path: 'healthy',
    state: 'succeeded',
    output: { status: holds ? 200 : 500 },
    holds,
    generation,
  });

  it('look again until the condition holds; a look that fails is one that does not hold', () => {
    const play = new Play(poll, 0)
      .feed(looked(false, 1))
      .feed({ kind: 'waited', path: 'healthy#pause' })
      .fails('healthy');
    play.feed({ kind: 'waited', path: 'healthy#pause' }).feed(looked(true, 3));
    play.feed({ kind: 'ended', path: 'healthy#deadline', state: 'cancelled' });
    expect(play.log).toEqual([
      'run healthy, wait healthy#deadline',
      'wait healthy#pause',
      'run healthy 2',
      'wait healthy#pause',
      'run healthy 3',
      'cancel healthy#deadline',
      'finish succeeded',
    ]);
    expect(play.state.outputs).toEqual({ healthy: { status: 200 } });
  });

  it('fail when the time is over, with what the last look said', () => {
    const play = new Play(poll, 0).fails('healthy').feed({ kind: 'waited', path: 'healthy#deadline' });
    play.feed({ kind: 'ended', path: 'healthy#pause', state: 'cancelled' });
    expect(play.log.slice(1)).toEqual(['wait healthy#pause', 'cancel healthy#pause', 'finish failed wait-timeout']);
    expect(play.commands).toEqual([
      expect.objectContaining({ error: expect.objectContaining({ message: expect.stringContaining('it broke') }) }),
    ]);
  });

  it('take capacity before the step and give it back after it, also when it fails or is cancelled', () => {
    const of = program([
      control('use', { capacity: ['db:${{ inputs.db }}', { key: 'site:ber', units: 2 }], onError: 'continue' }),
      control('after'),
    ]);
    const play = new Play(of, 0, { db: 'billing' });
    expect(play.commands).toEqual([
      {
        kind: 'take-capacity',
        path: 'use#capacity',
        wants: [
          { key: 'db:billing', units: 1 },
          { key: 'site:ber', units: 2 },
        ],
      },
    ]);
    play.ends('use#capacity').fails('use').ends('after');
    expect(play.log.slice(1)).toEqual([
      'run use',
      'free-capacity use#capacity, failure-passed use, run after',
      'finish succeeded',
    ]);
    const waiting = new Play(of, 0, { db: 'x' }).feed({ kind: 'cancel-requested' });
    waiting.feed({ kind: 'ended', path: 'use#capacity', state: 'cancelled' });
    expect(waiting.log.slice(1)).toEqual(['cancel use#capacity', 'finish cancelled']);
  });
});

describe('outputs and summary of the run', () => {
  it('are read from steps, and fail the run where they cannot be determined', () => {
    const of = program([control('a')], { outputs: { n: 'steps.a.n' }, summary: 'Got ${{ steps.a.n }}.' });
    expect(new Play(of, 0).ends('a', { n: 5 }).commands).toEqual([
      { kind: 'finish', state: 'succeeded', isComplete: true, outputs: { n: 5 }, summary: 'Got 5.' },
    ]);
    expect(new Play(of, 0).ends('a').commands).toEqual([
      expect.objectContaining({ state: 'failed', summary: expect.stringContaining('cannot be determined') }),
    ]);
  });
});

describe('steps on targets', () => {
  it('are given what they read of steps of the run, and their undo the same', () => {
    const of = program(
      [
        control('ask', { outputs: { tag: 'result.tag', other: 'result.other' } }),
        control('unread'),
        target('deploy', {
          with: { argv: ['${{ steps.ask.tag }}'] },
          rollback: { uses: 'ssh.run', with: { argv: ['undo', '${{ steps.deploy.exitCode }}'] } },
        }),
        control('after'),
        target('check', { if: 'has(steps.deploy.exitCode)' }),
      ],
      { rollback: 'all' },
    );
    const play = new Play(of).ends('ask', { tag: 'v1' }).ends('unread', { tag: 'v2' });
    const outputs = { ask: { tag: 'v1' } };
    expect(play.commands).toEqual([expect.objectContaining({ kind: 'dispatch-segment', path: 'deploy', outputs })]);
    play.segment('deploy').ends('after');
    expect(play.commands[0]).toMatchObject({ kind: 'dispatch-segment', path: 'check' });
    expect(play.commands[0]).not.toHaveProperty('outputs');
    play.segment('check', { succeeded: 1, failed: 1 });
    expect(play.commands).toEqual([expect.objectContaining({ kind: 'undo-segment', path: 'deploy#undo', outputs })]);
  });

  it('read the iteration that they stand in, and nothing of others', () => {
    const steps = [control('ask'), target('go', { if: 'steps.ask.n == item.n' })];
    const play = new Play(program([{ id: 'each', forEach: { items: [1, 2], as: 'n', steps } }]));
    play.ends('each[1]/ask', { n: 1 });
    expect(play.commands).toEqual([expect.objectContaining({ outputs: { ask: { n: 1 } } })]);
    play.segment('each[1]/go').ends('each[2]/ask', { n: 2 });
    expect(play.commands).toEqual([expect.objectContaining({ outputs: { ask: { n: 2 } } })]);
  });
});
