import { describe, expect, it } from '@jest/globals';
import { targetStates, type TargetState } from '@fettle/contracts';
import fc from 'fast-check';
import { advance } from './advance.js';
import type { EngineCommand, EngineEvent } from './commands.js';
import { initialState, type EngineState } from './state.js';
import type { Program } from './program-nodes.js';
import { counts, play, program } from './testing.js';

const seed = Number(process.env['FETTLE_SEED'] ?? Date.now() % 2 ** 31);
process.stdout.write(`advance.property.test.ts: FETTLE_SEED=${seed}\n`);
const runs = process.env['FETTLE_LONG'] === '1' ? 5000 : 250;

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
    command.kind === 'finish' || command.kind === 'wait'
      ? []
      : [command.kind === 'dispatch-segment' ? command.path : command.stepId],
  );
  // Each node is decided at most once, in the order of the program.
  const places = named.map((path) => order.indexOf(path));
  expect(places.every((place) => place >= 0)).toBe(true);
  expect(places).toEqual([...new Set(places)].sort((a, b) => a - b));
}

describe(`properties, ${runs} times each`, () => {
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
