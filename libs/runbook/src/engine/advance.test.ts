import { describe, expect, it } from '@jest/globals';
import { runbookSpecSchema, targetStates, type TargetCounts, type TargetState } from '@fettle/contracts';
import fc from 'fast-check';
import { advance, initialState, type EngineCommand, type EngineEvent, type EngineState } from './advance.js';
import { compileProgram, type ActionScopes, type Program } from './program.js';

const seed = Number(process.env['FETTLE_SEED'] ?? Date.now() % 2 ** 31);
process.stdout.write(`advance.test.ts: FETTLE_SEED=${seed}\n`);
const runs = process.env['FETTLE_LONG'] === '1' ? 5000 : 500;

const actions: ActionScopes = {
  'ssh.run': { scope: 'target', version: 3, defaultTimeoutMs: 60_000, maxTimeoutMs: 600_000 },
  'http.request': { scope: 'control', version: 2, defaultTimeoutMs: 30_000, maxTimeoutMs: 60_000 },
};

const counts = (given: Partial<Record<TargetState, number>>): TargetCounts =>
  Object.fromEntries(targetStates.map((state) => [state, given[state] ?? 0])) as Record<TargetState, number>;

interface StepSource {
  readonly id: string;
  readonly uses: string;
  readonly [key: string]: unknown;
}
const program = (steps: readonly StepSource[]): Program =>
  compileProgram(runbookSpecSchema.parse({ targets: 'true', timeout: '1h', steps }), actions);

/** Feeds events one by one; the commands of each. */
function play(of: Program, events: readonly EngineEvent[]): { state: EngineState; commands: EngineCommand[][] } {
  let state = initialState(of);
  const commands = events.map((event) => {
    const next = advance(of, state, event);
    state = next.state;
    return [...next.commands];
  });
  return { state, commands };
}

const started = (pending: number): EngineEvent => ({ kind: 'started', inputs: {}, targetCounts: counts({ pending }) });

const mixed = program([
  { id: 'check', uses: 'ssh.run' },
  { id: 'change', uses: 'ssh.run' },
  { id: 'announce', uses: 'http.request', with: { url: 'https://x/${{ 1 }}', count: '${{ run.counts.failed }}' } },
  { id: 'restart', uses: 'ssh.run' },
]);

describe('compileProgram', () => {
  it('joins consecutive target steps and keeps control steps whole', () => {
    expect(mixed).toEqual({
      format: 1,
      timeoutMs: 3_600_000,
      maxConcurrency: 100,
      nodes: [
        {
          kind: 'targets',
          path: 'check',
          steps: [
            { id: 'check', uses: 'ssh.run', actionVersion: 3 },
            { id: 'change', uses: 'ssh.run', actionVersion: 3 },
          ],
        },
        {
          kind: 'control',
          path: 'announce',
          step: {
            id: 'announce',
            uses: 'http.request',
            actionVersion: 2,
            with: { url: 'https://x/${{ 1 }}', count: '${{ run.counts.failed }}' },
            if: null,
            outputs: null,
            retry: null,
            timeoutMs: 30_000,
            onError: 'fail',
          },
        },
        { kind: 'targets', path: 'restart', steps: [{ id: 'restart', uses: 'ssh.run', actionVersion: 3 }] },
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
      { kind: 'control-ended', stepId: 'announce', state: 'succeeded', output: { status: 200 } },
      { kind: 'segment-ended', path: 'restart', counts: counts({ succeeded: 2 }) },
    ]);
    expect(commands).toEqual([
      [{ kind: 'dispatch-segment', path: 'check', stepIds: ['check', 'change'] }],
      [
        {
          kind: 'run-control',
          stepId: 'announce',
          uses: 'http.request',
          actionVersion: 2,
          input: { url: 'https://x/1', count: 0 },
          outputs: null,
          retry: null,
          timeoutMs: 30_000,
        },
      ],
      [{ kind: 'dispatch-segment', path: 'restart', stepIds: ['restart'] }],
      [{ kind: 'finish', state: 'succeeded' }],
    ]);
    expect(state.outputs).toEqual({ announce: { status: 200 } });
  });

  it('goes on with the targets that are left and fails at the end, saying why', () => {
    const { commands } = play(mixed, [
      started(4),
      { kind: 'segment-ended', path: 'check', counts: counts({ pending: 2, failed: 1, unreachable: 1 }) },
      { kind: 'control-ended', stepId: 'announce', state: 'succeeded' },
      {
        kind: 'segment-ended',
        path: 'restart',
        counts: counts({ succeeded: 1, skipped: 1, failed: 1, unreachable: 1 }),
      },
    ]);
    expect(commands[2]).toEqual([{ kind: 'dispatch-segment', path: 'restart', stepIds: ['restart'] }]);
    expect(commands[3]).toEqual([
      {
        kind: 'finish',
        state: 'failed',
        error: { code: 'targets-failed', message: '2 of 4 targets did not succeed: 1 failed, 1 unreachable' },
      },
    ]);
  });

  it('dispatches no further segment once every target has left', () => {
    const { commands } = play(mixed, [
      started(2),
      { kind: 'segment-ended', path: 'check', counts: counts({ failed: 1, quarantined: 1 }) },
      { kind: 'control-ended', stepId: 'announce', state: 'succeeded' },
    ]);
    expect(commands[1]).toEqual([
      expect.objectContaining({ kind: 'run-control', input: { url: 'https://x/1', count: 1 } }),
    ]);
    expect(commands[2]).toEqual([expect.objectContaining({ kind: 'finish', state: 'failed' })]);
  });

  it('succeeds with no targets at all', () => {
    const only = program([{ id: 'a', uses: 'ssh.run' }]);
    expect(play(only, [started(0)]).commands).toEqual([[{ kind: 'finish', state: 'succeeded' }]]);
  });

  it.each(['failed', 'unreachable', 'quarantined', 'cancelled', 'unknown', 'pending', 'running'] as const)(
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

  it('ends at once when cancelled or timed out, before and after the start', () => {
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
      expect(late.commands.slice(1)).toEqual([[expect.objectContaining({ kind: 'finish', state })], [], []]);
    }
  });

  it('ignores events that are not waited for', () => {
    const { commands } = play(mixed, [
      { kind: 'segment-ended', path: 'check', counts: counts({ pending: 1 }) },
      started(1),
      started(1),
      { kind: 'segment-ended', path: 'restart', counts: counts({ succeeded: 1 }) },
      { kind: 'control-ended', stepId: 'announce', state: 'failed' },
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
    kind: 'control-ended',
    stepId: 'first',
    state: 'succeeded',
    output,
  });

  it('are skipped where their condition is false, and see earlier outputs and the counts', () => {
    const conditional = after({ if: 'steps.first.code == 200 && run.counts.failed == 0 && run.id == "r1"' });
    const begin: EngineEvent = { kind: 'started', inputs: {}, targetCounts: counts({}), run: { id: 'r1' } };
    expect(play(conditional, [begin, firstEnded({ code: 200 })]).commands[1]).toEqual([
      expect.objectContaining({ kind: 'run-control', stepId: 'second' }),
    ]);
    expect(play(conditional, [begin, firstEnded({ code: 500 })]).commands[1]).toEqual([
      { kind: 'skip-control', stepId: 'second' },
      { kind: 'finish', state: 'succeeded' },
    ]);
  });

  it('fail where their condition cannot be determined or their input has no value', () => {
    const undetermined = play(after({ if: 'steps.first.code == 200' }), [started(0), firstEnded(null)]).commands[1];
    expect(undetermined?.[0]).toMatchObject({
      kind: 'fail-control',
      stepId: 'second',
      error: { code: 'condition-undetermined' },
    });
    expect(undetermined?.[1]).toMatchObject({ kind: 'finish', state: 'failed', error: { stepId: 'second' } });
    const unrendered = play(after({ with: { url: '${{ steps.first.code }}' } }), [started(0), firstEnded(null)])
      .commands[1];
    expect(unrendered?.map((command) => command.kind)).toEqual(['fail-control', 'finish']);
    const goesOn = play(after({ if: 'steps.first.code == 200', onError: 'continue' }), [started(0), firstEnded(null)])
      .commands[1];
    expect(goesOn?.map((command) => command.kind)).toEqual(['fail-control', 'finish']);
    expect(goesOn?.[1]).toEqual({ kind: 'finish', state: 'succeeded' });
  });

  it.each(['failed', 'cancelled', 'unknown'] as const)(
    'that end as %s fail the run, unless onError is continue',
    (state) => {
      const ended: EngineEvent = {
        kind: 'control-ended',
        stepId: 'only',
        state,
        error: { code: 'http-timeout', message: 'no answer' },
      };
      const strict = program([{ id: 'only', uses: 'http.request' }]);
      expect(play(strict, [started(0), ended]).commands[1]).toEqual([
        {
          kind: 'finish',
          state: 'failed',
          error: { code: 'http-timeout', message: 'step "only" failed: no answer', stepId: 'only' },
        },
      ]);
      const lenient = program([{ id: 'only', uses: 'http.request', onError: 'continue' }]);
      expect(play(lenient, [started(0), ended]).commands[1]).toEqual([{ kind: 'finish', state: 'succeeded' }]);
    },
  );

  it('may leave 4 KiB and no more', () => {
    const only = program([{ id: 'only', uses: 'http.request' }]);
    const ended = (text: string): EngineEvent => ({
      kind: 'control-ended',
      stepId: 'only',
      state: 'succeeded',
      output: { text },
    });
    expect(play(only, [started(0), ended('x'.repeat(4096 - 11))]).commands[1]).toEqual([
      { kind: 'finish', state: 'succeeded' },
    ]);
    expect(play(only, [started(0), ended('é'.repeat(2048))]).commands[1]).toEqual([
      expect.objectContaining({ state: 'failed', error: expect.objectContaining({ code: 'output-too-large' }) }),
    ]);
  });
});

const stepArbitrary = fc.record({
  uses: fc.constantFrom('ssh.run', 'http.request'),
  onError: fc.constantFrom('fail', 'continue'),
  if: fc.constantFrom(undefined, 'true', 'false', 'run.counts.failed == 0', 'steps.s0.x == 1'),
});
const programArbitrary = fc
  .array(stepArbitrary, { minLength: 1, maxLength: 12 })
  .map((steps) => program(steps.map((step, index) => ({ ...step, id: `s${index}` }))));
const anyCountsArbitrary = fc.record(
  Object.fromEntries(targetStates.map((state) => [state, fc.nat({ max: 2 })])) as Record<
    TargetState,
    fc.Arbitrary<number>
  >,
);
/** Half of them leave a way to success open. */
const countsArbitrary = fc.oneof(
  anyCountsArbitrary,
  fc.record({ succeeded: fc.nat({ max: 2 }), skipped: fc.nat({ max: 2 }) }).map(counts),
);
const pathArbitrary = fc.nat({ max: 12 }).map((index) => `s${index}`);
const eventArbitrary: fc.Arbitrary<EngineEvent> = fc.oneof(
  fc.record({ kind: fc.constant('started' as const), inputs: fc.constant({}), targetCounts: countsArbitrary }),
  {
    arbitrary: fc.record({ kind: fc.constant('segment-ended' as const), path: pathArbitrary, counts: countsArbitrary }),
    weight: 6,
  },
  {
    arbitrary: fc.record({
      kind: fc.constant('control-ended' as const),
      stepId: pathArbitrary,
      state: fc.constantFrom(
        'succeeded' as const,
        'failed' as const,
        'skipped' as const,
        'cancelled' as const,
        'unknown' as const,
      ),
      output: fc.constantFrom(null, { x: 1 }, { x: 2 }, { y: 'x'.repeat(5000) }),
    }),
    weight: 6,
  },
  fc.constantFrom({ kind: 'cancel-requested' as const }, { kind: 'timed-out' as const }),
);

/** What holds of the commands of any event sequence. */
function expectLawful(of: Program, commands: readonly EngineCommand[]): void {
  const finishes = commands.filter((command) => command.kind === 'finish');
  expect(finishes.length).toBeLessThanOrEqual(1);
  if (finishes.length === 1) expect(commands.at(-1)?.kind).toBe('finish');
  const order = of.nodes.map((node) => node.path);
  const named = commands.flatMap((command) =>
    command.kind === 'finish' ? [] : [command.kind === 'dispatch-segment' ? command.path : command.stepId],
  );
  // Each node is decided at most once, in the order of the program.
  const places = named.map((path) => order.indexOf(path));
  expect(places.every((place) => place >= 0)).toBe(true);
  expect(places).toEqual([...new Set(places)].sort((a, b) => a - b));
}

describe('properties', () => {
  it('any events give lawful commands, and the same events the same commands, also through JSON', () => {
    fc.assert(
      fc.property(programArbitrary, fc.array(eventArbitrary, { maxLength: 60 }), (of, events) => {
        const first = play(of, events);
        expectLawful(of, first.commands.flat());
        let state = initialState(of);
        const copy = JSON.parse(JSON.stringify(of)) as Program;
        const again = events.map((event) => {
          const next = advance(copy, JSON.parse(JSON.stringify(state)) as EngineState, event);
          state = next.state;
          return [...next.commands];
        });
        expect(again).toEqual(first.commands);
        expect(state).toEqual(first.state);
      }),
      { seed, numRuns: runs },
    );
  });

  it('a host that answers every command comes to exactly one finish, a success only without bad targets', () => {
    let successes = 0;
    const answers = fc.array(fc.tuple(countsArbitrary, fc.boolean(), fc.array(eventArbitrary, { maxLength: 2 })), {
      minLength: 13,
      maxLength: 13,
    });
    fc.assert(
      fc.property(programArbitrary, countsArbitrary, answers, (of, targetCounts, script) => {
        let state = initialState(of);
        const all: EngineCommand[] = [];
        const feed = (event: EngineEvent): EngineCommand | undefined => {
          const next = advance(of, state, event);
          state = next.state;
          all.push(...next.commands);
          return next.commands.at(-1);
        };
        let last = feed({ kind: 'started', inputs: {}, targetCounts });
        for (const [ended, isFine, noise] of script) {
          if (last === undefined || last.kind === 'finish') break;
          if (last.kind === 'dispatch-segment') last = feed({ kind: 'segment-ended', path: last.path, counts: ended });
          else if (last.kind === 'run-control')
            last = feed({
              kind: 'control-ended',
              stepId: last.stepId,
              state: isFine ? 'succeeded' : 'failed',
              output: { x: 1 },
            });
          for (const event of noise) last = feed(event) ?? last;
        }
        expectLawful(of, all);
        expect(all.at(-1)?.kind).toBe('finish');
        expect(state.phase).toBe('ended');
        const end = all.at(-1);
        if (end?.kind !== 'finish' || end.state !== 'succeeded') return;
        successes += 1;
        const bad = targetStates.filter((name) => name !== 'succeeded' && name !== 'skipped');
        if (of.nodes.some((node) => node.kind === 'targets'))
          expect(bad.map((name) => state.counts[name])).toEqual(bad.map(() => 0));
      }),
      { seed, numRuns: runs },
    );
    expect(successes).toBeGreaterThan(0);
  });
});
