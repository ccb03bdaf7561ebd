import { describe, expect, it } from '@jest/globals';
import { targetStates, type TargetState } from '@fettle/contracts';
import fc from 'fast-check';
import { advance } from './advance.js';
import type { EngineCommand, EngineEvent } from './commands.js';
import type { Program, ProgramNode } from './program-nodes.js';
import { initialState, type EngineState } from './state.js';
import { childLists } from './targets.js';
import { counts, program, type StepSource } from './testing.js';

const seed = Number(process.env['FETTLE_SEED'] ?? Date.now() % 2 ** 31);
process.stdout.write(`advance.property.test.ts: FETTLE_SEED=${seed}\n`);
const runs = process.env['FETTLE_LONG'] === '1' ? 5000 : 150;

const conditionArbitrary = fc.constantFrom(
  undefined,
  undefined,
  'true',
  'false',
  'run.counts.failed == 0',
  'steps.s0.x == 1',
);
const onErrorArbitrary = fc.constantFrom('fail', 'fail', 'continue', 'mend');
const capacityArbitrary = fc.constantFrom(undefined, undefined, undefined, ['db:billing']);

/** A step without its id; ids are given in the order of the text. */
type Shape = Record<string, unknown>;
const { steps: stepsArbitrary } = fc.letrec<{ step: Shape; steps: Shape[] }>((tie) => ({
  step: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    fc.record({
      uses: fc.constantFrom('ssh.run', 'http.request'),
      if: conditionArbitrary,
      onError: onErrorArbitrary,
      capacity: capacityArbitrary,
    }),
    fc.constantFrom<Shape>(
      { wait: { duration: '5s' } },
      { wait: { until: '2026-01-01T00:00:00Z' } },
      { wait: { uses: 'http.request', condition: 'true', every: '1s', timeout: '1m' } },
      { wait: { signal: 'go' } },
      { call: { runbook: 'other' } },
      { approval: { roles: ['admin'] } },
    ),
    fc.record({
      parallel: fc.record({ a: tie('steps'), b: tie('steps') }),
      failFast: fc.boolean(),
      if: conditionArbitrary,
      onError: onErrorArbitrary,
    }),
    fc.record({
      forEach: fc.record({
        items: fc.constantFrom<unknown[]>([], ['a'], ['a', 'b', 'c'], [{ k: 1 }, { k: 2 }]),
        as: fc.constant('x'),
        concurrency: fc.constantFrom(1, 2),
        failFast: fc.boolean(),
        steps: tie('steps'),
      }),
      capacity: capacityArbitrary,
    }),
    fc.record({
      choose: fc.tuple(
        fc.record({ when: fc.constantFrom('true', 'false', 'steps.s0.x == 1'), steps: tie('steps') }),
        fc.record({ steps: tie('steps') }),
      ),
    }),
    fc.record(
      { try: tie('steps'), catch: tie('steps'), finally: tie('steps'), capacity: capacityArbitrary },
      { requiredKeys: ['try'] },
    ),
  ),
  steps: fc.array(tie('step'), { minLength: 1, maxLength: 3 }),
}));

function withIds(steps: readonly Shape[], next: { id: number }): StepSource[] {
  const listed = (value: unknown): StepSource[] => withIds(value as Shape[], next);
  return steps.map((shape) => {
    const step = { ...shape, id: `s${next.id++}` } as StepSource & Record<string, Record<string, unknown>>;
    if ('parallel' in shape) {
      const { a, b } = shape['parallel'] as Shape;
      return { ...step, parallel: { a: listed(a), b: listed(b) } };
    }
    if ('forEach' in shape) {
      const loop = shape['forEach'] as Shape;
      return { ...step, forEach: { ...loop, steps: listed(loop['steps']) } };
    }
    if ('choose' in shape) {
      return { ...step, choose: (shape['choose'] as Shape[]).map((one) => ({ ...one, steps: listed(one['steps']) })) };
    }
    for (const part of ['try', 'catch', 'finally'])
      if (part in shape) Object.assign(step, { [part]: listed(shape[part]) });
    return step;
  });
}

const programArbitrary = stepsArbitrary.map((steps) =>
  program(withIds(steps, { id: 0 }), {
    handlers: { mend: [{ id: 'mended', uses: 'http.request' }] },
    capacity: ['run:one'],
    rollout: { waves: [1, '100%'], soak: '1s', maxFailures: '60%' },
  }),
);
const countsArbitrary = fc.record(
  Object.fromEntries(targetStates.map((state) => [state, fc.nat({ max: 2 })])) as Record<
    TargetState,
    fc.Arbitrary<number>
  >,
);
/** How the host answers: which of the open commands, how it ends, and whether the run is cancelled in between. */
const answerArbitrary = fc.record({
  which: fc.nat(),
  state: fc.constantFrom('succeeded', 'succeeded', 'succeeded', 'failed', 'unknown'),
  holds: fc.boolean(),
  output: fc.constantFrom(null, { x: 1 }, { x: 2 }, { y: 'x'.repeat(5000) }),
  counts: fc.oneof(countsArbitrary, fc.constant(counts({ pending: 3 }))),
  stop: fc.integer({ min: 0, max: 60 }),
});
type Answer = typeof answerArbitrary extends fc.Arbitrary<infer T> ? T : never;

const awaited = new Set([
  'dispatch-segment',
  'wait',
  'wait-until',
  'run-control',
  'call',
  'ask-approval',
  'await-signal',
  'take-capacity',
  'undo-segment',
  'undo-call',
]);
/** After so many answers the host answers well, so that every poll comes to its end. */
const MAX_SCRIPT = 40;
const MAX_STEPS = 3000;

/** A host that answers every awaited command once, in any order, and cancels what it is told to. */
class Host {
  state: EngineState;
  readonly commands: EngineCommand[] = [];
  readonly open = new Map<string, EngineCommand>();
  readonly cancelling = new Set<string>();
  stopped = false;

  constructor(readonly of: Program) {
    this.state = initialState(of);
  }

  feed(event: EngineEvent): void {
    // What is said twice, and the way through JSON, change nothing.
    const stored = JSON.parse(JSON.stringify(this.state)) as EngineState;
    const next = advance(this.of, this.state, event);
    expect(advance(this.of, stored, event)).toEqual(JSON.parse(JSON.stringify(next)));
    this.state = next.state;
    for (const command of next.commands) this.#take(command);
    if (event.kind === 'started') expect(advance(this.of, this.state, event).commands).toEqual([]);
  }

  #take(command: EngineCommand): void {
    this.commands.push(command);
    if (awaited.has(command.kind) && 'path' in command) {
      expect([...this.open.keys()]).not.toContain(command.path);
      const segments = [...this.open.values()].filter((one) => one.kind === 'dispatch-segment');
      if (command.kind === 'dispatch-segment') expect(segments).toEqual([]);
      // Once the run is being ended, nothing begins but what stands in a `finally`.
      if (this.stopped) expect(command).toMatchObject({ shielded: true });
      this.open.set(command.path, command);
    }
    if (command.kind === 'cancel') {
      expect([...this.open.keys()]).toContain(command.path);
      // What goes through `finally` is not cancelled.
      expect(this.open.get(command.path)).not.toHaveProperty('onlyFinally');
      this.cancelling.add(command.path);
    }
  }

  answer(answer: Answer): void {
    const paths = [...this.open.keys()];
    const path = paths[answer.which % paths.length]!;
    const command = this.open.get(path)!;
    this.open.delete(path);
    const isCancelled = this.cancelling.delete(path);
    this.feed(eventOf(command, path, answer, isCancelled));
  }
}

function eventOf(command: EngineCommand, path: string, answer: Answer, isCancelled: boolean): EngineEvent {
  if (command.kind === 'dispatch-segment') {
    const wave = command.wave === undefined ? {} : { wave: command.wave.number };
    return { kind: 'segment-ended', path, counts: answer.counts, ...wave, ...(isCancelled ? { isCancelled } : {}) };
  }
  if (isCancelled) return { kind: 'ended', path, state: 'cancelled' };
  if (command.kind === 'wait') {
    return { kind: 'waited', path, ...(command.wave === undefined ? {} : { wave: command.wave }) };
  }
  if (command.kind === 'wait-until') return { kind: 'waited', path };
  const { output, holds } = answer;
  const state = answer.state;
  return { kind: 'ended', path, state, ...(state === 'succeeded' ? { output, holds } : {}) };
}

const well: Answer = {
  which: 0,
  state: 'succeeded',
  holds: true,
  output: null,
  counts: counts({ pending: 3 }),
  stop: 60,
};

/** Paths of everything in the program that has a `finally`, without the iterations. */
function guarded(nodes: readonly ProgramNode[]): string[] {
  return nodes.flatMap((node) => [
    ...(node.kind === 'try' && node.finally !== null ? [node.id] : []),
    ...childLists(node).flatMap(guarded),
  ]);
}

describe(`properties, ${runs} times each`, () => {
  it('a host that answers every command comes to exactly one finish, with nothing open and all capacity given back', () => {
    const ends = new Map<string, number>();
    fc.assert(
      fc.property(programArbitrary, fc.array(answerArbitrary, { maxLength: MAX_SCRIPT }), (of, script) => {
        const host = new Host(of);
        host.feed({ kind: 'started', inputs: {}, targetCounts: counts({ pending: 3 }) });
        for (let step = 0; host.open.size > 0; step += 1) {
          expect(step).toBeLessThan(MAX_STEPS);
          const answer = script[step] ?? well;
          if (answer.stop === 0 && !host.stopped) {
            host.stopped = true;
            host.feed({ kind: step % 2 === 0 ? 'cancel-requested' : 'timed-out' });
            if (host.open.size === 0) break;
          }
          host.answer(answer);
        }
        const finishes = host.commands.filter((command) => command.kind === 'finish');
        expect(finishes).toHaveLength(1);
        expect(host.commands.at(-1)).toBe(finishes[0]);
        expect(host.state).toMatchObject({ phase: 'ended', open: {}, segment: null });
        const taken = host.commands.flatMap((one) => (one.kind === 'take-capacity' ? [one.path] : []));
        const freed = host.commands.flatMap((one) => (one.kind === 'free-capacity' ? [one.path] : []));
        expect(freed.every((path) => taken.includes(path))).toBe(true);
        expect(Object.keys(host.state.marks).filter((path) => path.endsWith('#held'))).toEqual([]);
        const end = finishes[0]!;
        if (end.kind === 'finish') ends.set(end.state, (ends.get(end.state) ?? 0) + 1);
        if (end.kind === 'finish' && end.state === 'succeeded') expect(end.error).toBeUndefined();
      }),
      { seed, numRuns: runs },
    );
    for (const state of ['succeeded', 'failed', 'cancelled']) expect([...ends.keys()]).toContain(state);
  });

  it('events that nobody waits for change nothing', () => {
    const noise: readonly EngineEvent[] = [
      { kind: 'ended', path: 's99', state: 'failed' },
      { kind: 'waited', path: 'nothing' },
      { kind: 'segment-ended', path: 's99', counts: counts({}) },
    ];
    fc.assert(
      fc.property(programArbitrary, (of) => {
        const host = new Host(of);
        host.feed({ kind: 'started', inputs: {}, targetCounts: counts({ pending: 3 }) });
        for (const event of noise) expect(advance(of, host.state, event)).toEqual({ state: host.state, commands: [] });
      }),
      { seed, numRuns: runs },
    );
  });

  it('a try that was entered comes to its finally, whatever happens', () => {
    let seen = 0;
    fc.assert(
      fc.property(stepsArbitrary, fc.array(answerArbitrary, { maxLength: MAX_SCRIPT }), (steps, script) => {
        const inner = withIds(steps, { id: 0 });
        const of = program(
          [
            {
              id: 'guard',
              try: [{ id: 'first', uses: 'http.request' }, ...inner],
              finally: [{ id: 'last', uses: 'http.request' }],
            },
          ],
          { handlers: { mend: [{ id: 'mended', uses: 'http.request' }] } },
        );
        expect(guarded(of.nodes)).toContain('guard');
        const host = new Host(of);
        host.feed({ kind: 'started', inputs: {}, targetCounts: counts({ pending: 3 }) });
        for (let step = 0; host.open.size > 0 && step < MAX_STEPS; step += 1) {
          const answer = script[step] ?? well;
          if (answer.stop === 0 && !host.stopped) {
            host.stopped = true;
            host.feed({ kind: 'cancel-requested' });
          }
          if (host.open.size > 0) host.answer(answer);
        }
        const last = host.commands.findIndex((one) => one.kind === 'run-control' && one.path === 'last');
        expect(last).toBeGreaterThan(0);
        expect(host.commands[last]).toMatchObject({ shielded: true });
        seen += host.stopped ? 1 : 0;
      }),
      { seed, numRuns: runs },
    );
    expect(seen).toBeGreaterThan(0);
  });
});
