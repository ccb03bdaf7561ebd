import { describe, expect, it } from '@jest/globals';
import type { EngineCommand, EngineEvent, RunError } from './commands.js';
import type { Program } from './program-nodes.js';
import { counts, play, program } from './testing.js';

const dispatched = (path: string, first: number, last: number, ordinal: number): EngineCommand => ({
  kind: 'dispatch-segment',
  path,
  prefix: '',
  item: {},
  stepIds: path === 'check' ? ['check', 'change'] : [path],
  first,
  last,
  enters: false,
  ordinal,
  isLast: path === 'restart',
});
const finish = (state: 'succeeded' | 'failed', error?: RunError, isComplete = true): EngineCommand => ({
  kind: 'finish',
  state,
  ...(error === undefined ? {} : { error }),
  isComplete,
  outputs: null,
  summary: null,
});
const started = (pending: number): EngineEvent => ({ kind: 'started', inputs: {}, targetCounts: counts({ pending }) });

const mixed = program([
  { id: 'check', uses: 'ssh.run' },
  { id: 'change', uses: 'ssh.run' },
  { id: 'announce', uses: 'http.request', with: { url: 'https://x/${{ 1 }}', count: '${{ run.counts.failed }}' } },
  { id: 'restart', uses: 'ssh.run' },
]);

describe('compileProgram', () => {
  it('joins consecutive target steps and keeps control steps whole', () => {
    const plain = { if: null, onError: 'fail', capacity: null };
    expect(mixed).toEqual({
      format: 2,
      timeoutMs: 3_600_000,
      maxConcurrency: 100,
      outputs: null,
      summary: null,
      rollback: 'unfinished',
      capacity: null,
      nodes: [
        {
          ...plain,
          kind: 'targets',
          id: 'check',
          first: 0,
          last: 1,
          isLast: false,
          hasRollback: false,
          steps: [
            { id: 'check', uses: 'ssh.run', actionVersion: 3 },
            { id: 'change', uses: 'ssh.run', actionVersion: 3 },
          ],
        },
        {
          ...plain,
          kind: 'control',
          id: 'announce',
          step: {
            id: 'announce',
            uses: 'http.request',
            actionVersion: 2,
            with: { url: 'https://x/${{ 1 }}', count: '${{ run.counts.failed }}' },
            outputs: null,
            retry: null,
            timeoutMs: 30_000,
            rollback: null,
          },
        },
        {
          ...plain,
          kind: 'targets',
          id: 'restart',
          first: 2,
          last: 2,
          isLast: true,
          hasRollback: false,
          steps: [{ id: 'restart', uses: 'ssh.run', actionVersion: 3 }],
        },
      ],
    });
    expect(JSON.parse(JSON.stringify(mixed))).toEqual(mixed);
  });

  it('refuses an action that is not known, even one named like a member of every object', () => {
    for (const uses of ['ssh.runn', 'constructor', 'toString']) {
      expect(() => program([{ id: 'a', uses }])).toThrow(expect.objectContaining({ code: 'invalid-document' }));
    }
  });
});

describe('advance', () => {
  it('dispatches segments and control steps in order and succeeds', () => {
    const { commands, state } = play(mixed, [
      started(2),
      { kind: 'segment-ended', path: 'check', counts: counts({ pending: 2 }) },
      { kind: 'ended', path: 'announce', state: 'succeeded', output: { status: 200 } },
      { kind: 'segment-ended', path: 'restart', counts: counts({ succeeded: 2 }) },
    ]);
    expect(commands).toEqual([
      [dispatched('check', 0, 1, 1)],
      [
        {
          kind: 'run-control',
          path: 'announce',
          uses: 'http.request',
          actionVersion: 2,
          input: { url: 'https://x/1', count: 0 },
          outputs: null,
          retry: null,
          timeoutMs: 30_000,
          generation: 1,
        },
      ],
      [dispatched('restart', 2, 2, 2)],
      [finish('succeeded')],
    ]);
    expect(state.outputs).toEqual({ announce: { status: 200 } });
  });

  it('goes on with the targets that are left and fails at the end, saying why', () => {
    const { commands } = play(mixed, [
      started(4),
      { kind: 'segment-ended', path: 'check', counts: counts({ pending: 2, failed: 1, unreachable: 1 }) },
      { kind: 'ended', path: 'announce', state: 'succeeded' },
      {
        kind: 'segment-ended',
        path: 'restart',
        counts: counts({ succeeded: 1, skipped: 1, failed: 1, unreachable: 1 }),
      },
    ]);
    expect(commands[2]).toEqual([dispatched('restart', 2, 2, 2)]);
    expect(commands[3]).toEqual([
      finish('failed', { code: 'targets-failed', message: '2 of 4 targets did not succeed: 1 failed, 1 unreachable' }),
    ]);
  });

  it('dispatches no further segment once every target has left', () => {
    const { commands } = play(mixed, [
      started(2),
      { kind: 'segment-ended', path: 'check', counts: counts({ failed: 1, quarantined: 1 }) },
      { kind: 'ended', path: 'announce', state: 'succeeded' },
    ]);
    expect(commands[1]).toEqual([
      expect.objectContaining({ kind: 'run-control', input: { url: 'https://x/1', count: 1 } }),
    ]);
    expect(commands[2]).toEqual([expect.objectContaining({ kind: 'finish', state: 'failed' })]);
  });

  it('succeeds with no targets at all', () => {
    const only = program([{ id: 'a', uses: 'ssh.run' }]);
    expect(play(only, [started(0)]).commands).toEqual([[finish('succeeded')]]);
  });

  it.each(['failed', 'unreachable', 'quarantined', 'cancelled', 'unknown', 'running'] as const)(
    'does not succeed while a target is %s',
    (state) => {
      const only = program([{ id: 'a', uses: 'ssh.run' }]);
      const events: EngineEvent[] = [
        started(2),
        { kind: 'segment-ended', path: 'a', counts: counts({ succeeded: 1, [state]: 1 }) },
      ];
      expect(play(only, events).commands[1]).toEqual([expect.objectContaining({ kind: 'finish', state: 'failed' })]);
    },
  );

  it('ends once what is open has ended when cancelled or timed out, before and after the start', () => {
    for (const [kind, state] of [
      ['cancel-requested', 'cancelled'],
      ['timed-out', 'timed-out'],
    ] as const) {
      expect(play(mixed, [{ kind }, started(1)]).commands).toEqual([
        [expect.objectContaining({ kind: 'finish', state })],
        [],
      ]);
      const late = play(mixed, [
        started(1),
        { kind },
        { kind },
        { kind: 'segment-ended', path: 'check', counts: counts({}) },
      ]);
      expect(late.commands.slice(1)).toEqual([
        [{ kind: 'cancel', path: 'check' }],
        [],
        [expect.objectContaining({ kind: 'finish', state, isComplete: false })],
      ]);
    }
  });

  it('ignores events that are not waited for', () => {
    const { commands } = play(mixed, [
      { kind: 'segment-ended', path: 'check', counts: counts({ pending: 1 }) },
      started(1),
      started(1),
      { kind: 'segment-ended', path: 'restart', counts: counts({ succeeded: 1 }) },
      { kind: 'ended', path: 'announce', state: 'failed' },
      { kind: 'segment-ended', path: 'check', counts: counts({ pending: 1 }) },
      { kind: 'segment-ended', path: 'check', counts: counts({ pending: 1 }) },
    ]);
    expect(commands.map((some) => some.map((command) => command.kind))).toEqual([
      [],
      ['dispatch-segment'],
      [],
      [],
      [],
      ['run-control'],
      [],
    ]);
  });
});

describe('control steps', () => {
  const after = (extra: Record<string, unknown>): Program =>
    program([
      { id: 'first', uses: 'http.request', outputs: { code: 'result.status' } },
      { id: 'second', uses: 'http.request', ...extra },
    ]);
  const firstEnded = (output: { code: number } | null): EngineEvent => ({
    kind: 'ended',
    path: 'first',
    state: 'succeeded',
    output,
  });

  it('are skipped where their condition is false, and see earlier outputs and the counts', () => {
    const conditional = after({ if: 'steps.first.code == 200 && run.counts.failed == 0 && run.id == "r1"' });
    const begin: EngineEvent = { kind: 'started', inputs: {}, targetCounts: counts({}), run: { id: 'r1' } };
    expect(play(conditional, [begin, firstEnded({ code: 200 })]).commands[1]).toEqual([
      expect.objectContaining({ kind: 'run-control', path: 'second' }),
    ]);
    expect(play(conditional, [begin, firstEnded({ code: 500 })]).commands[1]).toEqual([
      { kind: 'skip-step', path: 'second' },
      finish('succeeded'),
    ]);
  });

  it('fail where their condition cannot be determined or their input has no value', () => {
    const undetermined = play(after({ if: 'steps.first.code == 200' }), [started(0), firstEnded(null)]).commands[1];
    expect(undetermined?.[0]).toMatchObject({
      kind: 'fail-step',
      path: 'second',
      error: { code: 'condition-undetermined' },
    });
    expect(undetermined?.[1]).toMatchObject({ kind: 'finish', state: 'failed', error: { stepId: 'second' } });
    const unrendered = play(after({ with: { url: '${{ steps.first.code }}' } }), [started(0), firstEnded(null)])
      .commands[1];
    expect(unrendered?.map((command) => command.kind)).toEqual(['fail-step', 'finish']);
    const goesOn = play(after({ if: 'steps.first.code == 200', onError: 'continue' }), [started(0), firstEnded(null)])
      .commands[1];
    expect(goesOn?.map((command) => command.kind)).toEqual(['fail-step', 'note', 'finish']);
    expect(goesOn?.[2]).toEqual(finish('succeeded'));
  });

  it.each(['failed', 'cancelled', 'unknown'] as const)(
    'that end as %s fail the run, unless onError is continue',
    (state) => {
      const ended: EngineEvent = {
        kind: 'ended',
        path: 'only',
        state,
        error: { code: 'http-timeout', message: 'no answer' },
      };
      const strict = program([{ id: 'only', uses: 'http.request' }]);
      const error = { code: 'http-timeout', message: 'step "only" failed: no answer', stepId: 'only' };
      expect(play(strict, [started(0), ended]).commands[1]).toEqual([finish('failed', error, false)]);
      const lenient = program([{ id: 'only', uses: 'http.request', onError: 'continue' }]);
      expect(play(lenient, [started(0), ended]).commands[1]).toEqual([
        { kind: 'note', path: 'only', note: 'failure-passed', data: { code: 'http-timeout' } },
        finish('succeeded'),
      ]);
    },
  );

  it('may leave 4 KiB and no more', () => {
    const only = program([{ id: 'only', uses: 'http.request' }]);
    const ended = (text: string): EngineEvent => ({
      kind: 'ended',
      path: 'only',
      state: 'succeeded',
      output: { text },
    });
    expect(play(only, [started(0), ended('x'.repeat(4096 - 11))]).commands[1]).toEqual([finish('succeeded')]);
    expect(play(only, [started(0), ended('é'.repeat(2048))]).commands[1]).toEqual([
      expect.objectContaining({ state: 'failed', error: expect.objectContaining({ code: 'output-too-large' }) }),
    ]);
  });
});
